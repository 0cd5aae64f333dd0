"""The examples of the Python package, run as their users would run them."""

import os
import pathlib
import runpy
import subprocess
import sys

import pytest

import courant
from conftest import PATIENCE, ROOT, clean_environment
from programs import fetch

EXAMPLES = ROOT / "python/examples"
ROWS = [("Fruit", "Price"), ("Apple", 3), ("Pear", 4)]


@pytest.fixture(scope="module")
def client(up):
    """Of a `courant up` that has the example as a worker."""
    url = f"http://{up.grpc}"
    command = [sys.executable, EXAMPLES / "markitdown_worker.py", url]
    worker = subprocess.Popen(command, env=clean_environment() | {"COURANT_TOKEN": up.token("markitdown", "worker")})
    with courant.Client(url, token=up.user) as client:
        yield client
    worker.terminate()
    assert worker.wait(PATIENCE) == 0


def make_docx(path):
    import docx

    document = docx.Document()
    document.add_heading("Fruit of the week", 1)
    document.add_paragraph("Apples are cheap.")
    document.save(path)


def make_pptx(path):
    import pptx

    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text = "Fruit of the week"
    slide.placeholders[1].text = "Apples are cheap."
    slides.save(path)


def make_xlsx(path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.save(path)


def make_html(path):
    rows = "".join(f"<tr><td>{fruit}</td><td>{price}</td></tr>" for fruit, price in ROWS)
    path.write_text(f"<h1>Fruit of the week</h1><p>Apples are <b>cheap</b>.</p><table>{rows}</table>")


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("report.docx", make_docx, ["# Fruit of the week", "Apples are cheap."]),
        ("slides.pptx", make_pptx, ["# Fruit of the week", "Apples are cheap."]),
        ("prices.XLSX", make_xlsx, ["| Fruit | Price |", "| Apple | 3 |"]),
        ("page.html", make_html, ["# Fruit of the week", "Apples are **cheap**.", "| Pear | 4 |"]),
    ],
)
def test_markitdown_reads(client, up, tmp_path, name, make, says):
    path = tmp_path / name
    make(path)
    job = client.submit(path, kind="markitdown", formats=["md"])
    done = client.wait(job, PATIENCE, check=True)
    markdown = client.result_text(job)
    assert [line for line in says if line not in markdown] == [], markdown
    assert done.pages_done == 1 and client.page(job, 1) == {"markdown": markdown}
    # As the console reads it.
    status, headers, text = fetch(f"http://{up.http}/v1/jobs/{job.id}/results/md", authorization=f"Bearer {up.user}")
    assert status == 200 and headers["content-type"].startswith("text/markdown") and text == markdown


def test_markitdown_refuses_what_it_cannot_read(client):
    for name, content, code in [("a.exe", b"MZ", "UNSUPPORTED_DOCUMENT"), ("a.docx", b"PK\x03\x04" + bytes(64), "DAMAGED_DOCUMENT")]:
        ended = client.wait(client.submit(content, filename=name, kind="markitdown"), PATIENCE)
        assert (ended.state, ended.error.code, ended.attempt) == (courant.JobState.FAILED, code, 1)


def test_docling_loads_its_models(start_service, tmp_path):
    example = runpy.run_path(str(EXAMPLES / "docling_worker.py"))
    with pytest.raises(FileNotFoundError, match="docling-tools models download"):
        example["load"](tmp_path / "none")
    models = os.environ.get("COURANT_DOCLING_MODELS")
    if models is None:
        pytest.skip("docling's models are gigabytes and not here; COURANT_DOCLING_MODELS names their folder")
    converter = example["load"](pathlib.Path(models))
    service = start_service()
    with service.working(example["handler"](converter)), service.client() as client:
        assert client.convert(ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/two-columns.pdf", kind="docling", timeout=PATIENCE)
