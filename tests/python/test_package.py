"""The Python package as it is delivered: what is in it, and its README followed by a newcomer."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import courant
from conftest import PATIENCE, ROOT, SAMPLE, clean_environment

TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "python"
BLOCK = re.compile(r"^```python (client|worker)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def wheel():
    (wheel,) = TARGET.glob("courant-*.whl")
    return wheel


def test_it_says_what_it_needs_and_has_what_it_promises(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        fields = email.message_from_bytes(packed.read(metadata))
        licences = {name.rpartition("/")[2]: packed.read(name) for name in names if "/licenses/" in name}
    needs = [re.match(r"[a-z-]+", need)[0] for need in fields.get_all("Requires-Dist")]
    assert needs == ["grpcio", "protobuf"] and fields["Requires-Python"] == ">=3.9"
    assert fields["License-Expression"] == "MIT OR Apache-2.0"
    assert licences == {name: (ROOT / name).read_bytes() for name in ("LICENSE-MIT", "LICENSE-APACHE")}
    assert {"courant/py.typed", "courant/v1/job_pb2.py", "courant/v1/job_pb2.pyi", "courant/v1/job_service_pb2_grpc.py"} <= set(names)
    version = re.search(r'\[workspace\.package\].*?\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.DOTALL)[1]
    assert fields["Version"] == courant.__version__ == version
    with tarfile.open(next(TARGET.glob("courant-*.tar.gz"))) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    assert {"src/courant/v1/job_pb2.py", "examples/markitdown_worker.py", "LICENSE-MIT", "README.md"} <= inside


def test_the_stubs_know_all_that_the_protos_have():
    """They are made when the package is built: this one was built from these protos."""
    for proto in sorted((ROOT / "proto/courant/v1").glob("*.proto")):
        stub = __import__(f"courant.v1.{proto.stem}_pb2", fromlist=["DESCRIPTOR"]).DESCRIPTOR
        messages = re.findall(r"^message (\w+)", proto.read_text(), re.MULTILINE)
        assert set(stub.message_types_by_name) == set(messages), f"{proto.name} is newer than the package; run: make python"


def test_a_newcomer_follows_the_readme(wheel, start_service, tmp_path):
    service = start_service()
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True)
    blocks = dict(BLOCK.findall((ROOT / "python/README.md").read_text()))
    assert blocks["worker"] in (ROOT / "docs/writing-a-worker.md").read_text(), "the guide has another worker"
    for name, code in blocks.items():
        assert len(code.strip().splitlines()) <= 10, f"the {name} is no longer one of ten lines"
        (tmp_path / f"{name}.py").write_text(code.replace("http://127.0.0.1:50051", service.url))
    (tmp_path / "token").write_text(service.token("alice"))
    (tmp_path / "worker.token").write_text(service.token("counter", "worker"))
    shutil.copy(SAMPLE, tmp_path / "report.pdf")

    def run(name):
        return subprocess.Popen([venv / "bin/python", f"{name}.py"], cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, text=True)

    @courant.worker("pdf")
    def pdf(task):
        task.plan(3)
        for page in (1, 2, 3):
            task.page(page, {})
        task.export("md", "# Two-Column Document")

    worker = run("worker")
    with service.working(pdf), service.client() as client:
        following = run("client")
        said, _ = following.communicate(timeout=PATIENCE)
        assert following.returncode == 0 and "succeeded" in said and "3 pages" in said
        assert (tmp_path / "report.md").read_text() == "# Two-Column Document"
        job = client.submit(b"au courant with every job", kind="words", filename="notes.txt")
        client.wait(job, PATIENCE, check=True)
        assert client.result_text(job, "txt") == "5 words\n"
        assert client.output(job, "words.csv").split() == b"au courant with every job".split()
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
