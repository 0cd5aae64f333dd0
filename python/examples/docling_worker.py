"""A worker that reads PDF, DOCX and pictures with docling, page by page.

    pip install courant docling
    docling-tools models download -o models     # gigabytes, once
    COURANT_TOKEN=$(courant token --sub docling --role worker) python docling_worker.py http://127.0.0.1:50051 models
    courant submit --kind docling --watch report.pdf

The models are loaded once, before the worker takes its first job. They compute outside of Python's lock, so that the lease is kept meanwhile.
"""

import os
import pathlib
import sys
from typing import Any

import courant


def load(models: pathlib.Path) -> Any:
    """A converter whose models are those of this folder; nothing is downloaded. Errors: `FileNotFoundError`."""
    if not models.is_dir() or not any(models.iterdir()):
        raise FileNotFoundError(f"there are no models in {models}; run: docling-tools models download -o {models}")
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.pipeline_options import PdfPipelineOptions
    from docling.document_converter import DocumentConverter, PdfFormatOption

    options = PdfPipelineOptions(artifacts_path=str(models), enable_remote_services=False)
    converter = DocumentConverter(format_options={InputFormat.PDF: PdfFormatOption(pipeline_options=options)})
    converter.initialize_pipeline(InputFormat.PDF)
    return converter


def handler(converter: Any) -> courant.Handler:
    @courant.worker("docling")
    def convert(task: courant.Task) -> None:
        task.progress(5, "Reading the document")
        result = converter.convert(task.document_path(), raises_on_error=False)
        if result.status.value == "failure":
            raise courant.PermanentError("DAMAGED_DOCUMENT", "The document cannot be read.")
        document = result.document
        pages = sorted(document.pages)
        task.plan(max(1, len(pages)))
        for number in pages:
            size = document.pages[number].size
            task.page(number, {"markdown": document.export_to_markdown(page_no=number)}, width=size.width, height=size.height)
        task.export("md", document.export_to_markdown())
        task.export("json", document.model_dump_json())
        task.export("html", document.export_to_html())

    return convert


if __name__ == "__main__":
    handler(load(pathlib.Path(sys.argv[2]))).run(sys.argv[1], token=os.environ["COURANT_TOKEN"])
