"""The examples of the Python package, run as their users would run them."""

import os
import pathlib
import runpy
import subprocess
import sys

import pytest

import courant
from conftest import PATIENCE, ROOT, clean_environment
from package import Service

EXAMPLES = ROOT / "python/examples"
ROWS = [("Fruit", "Price"), ("Apple", 3), ("Pear", 4)]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("examples"))
    token = running.token("markitdown", "worker")
    command = [sys.executable, EXAMPLES / "markitdown_worker.py", running.url]
    worker = subprocess.Popen(command, env=clean_environment() | {"COURANT_TOKEN": token})
    yield running
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    running.kill()


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
def test_markitdown_reads(service, tmp_path, name, make, says):
    path = tmp_path / name
    make(path)
    with service.client() as client:
        job = client.submit(path, kind="markitdown", formats=["md"])
        done = client.wait(job, PATIENCE, check=True)
        markdown = client.result_text(job)
        assert [line for line in says if line not in markdown] == [], markdown
        assert done.pages_done == 1 and client.page(job, 1) == {"markdown": markdown}


def test_markitdown_refuses_what_it_cannot_read(service):
    with service.client() as client:
        for name, content, code in [("a.exe", b"MZ", "UNSUPPORTED_DOCUMENT"), ("a.docx", b"PK\x03\x04" + bytes(64), "DAMAGED_DOCUMENT")]:
            job = client.submit(content, filename=name, kind="markitdown")
            ended = client.wait(job, PATIENCE)
            assert (ended.state, ended.error.code, ended.attempt) == (courant.JobState.FAILED, code, 1)


def test_docling_loads_its_models(tmp_path):
    example = runpy.run_path(str(EXAMPLES / "docling_worker.py"))
    with pytest.raises(FileNotFoundError, match="docling-tools models download"):
        example["load"](tmp_path / "none")
    models = os.environ.get("COURANT_DOCLING_MODELS")
    if models is None:
        pytest.skip("docling's models are gigabytes and not here; COURANT_DOCLING_MODELS names their folder")
    converter = example["load"](pathlib.Path(models))
    service = Service(tmp_path)
    with service.working(example["handler"](converter)), service.client() as client:
        assert client.convert(ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/two-columns.pdf", kind="docling", timeout=PATIENCE)
    service.kill()
