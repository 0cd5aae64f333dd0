"""The OpenAPI document is true: schemathesis finds no answer that it does not describe, and a client that is generated from it works."""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE, ROOT, SAMPLE, Up

DOCUMENT = ROOT / "bridge/schema/openapi.json"
TOOLS = pathlib.Path(sys.executable).parent
# No limit is to answer in place of what is asked: schemathesis asks much.
UNLIMITED = ("--workers", "1", "--max-per-user-per-second", "100000", "--max-requests-per-second", "100000")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Up(tmp_path_factory.mktemp("openapi"), UNLIMITED)
    yield running
    running.stop()


# Media types that openapi-python-client does not know are bytes.
OVERRIDES = """content_type_overrides:
  "*/*": application/octet-stream
  application/pdf: application/octet-stream
  application/offset+octet-stream: application/octet-stream
  application/openmetrics-text: text/plain
"""
# Also what tus wants for a version (412), and what is too much (413).
REFUSED = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429]


def config(job):
    """Operations on jobs are asked of a job that there is, as well as of ids that are made up; polls do not wait."""
    lines = [f'hooks = "{pathlib.Path(__file__).with_name("openapi_hooks.py")}"', "[parameters]", '"wait" = 0', ""]
    for check in ("negative_data_rejection", "missing_required_header"):
        lines += [f"[checks.{check}]", f"expected-statuses = {REFUSED}", ""]
    for operation in ("getJob", "getDocument", "getPage", "getResult", "listOutputs", "cancelJob"):
        lines += ["[[operations]]", f'include-operation-id = "{operation}"', f'parameters = {{ "path.id" = "{job}" }}', ""]
    return "\n".join(lines)


def test_schemathesis_finds_nothing_that_the_document_does_not_say(service, tmp_path):
    job = service.courant("submit", "--server", f"http://{service.grpc}", "--token", service.user, "--watch", str(SAMPLE)).split()[0]
    (tmp_path / "schemathesis.toml").write_text(config(job))
    command = [TOOLS / "schemathesis", "--config-file", tmp_path / "schemathesis.toml", "run", DOCUMENT]
    flags = ["--url", f"http://{service.http}", "--seed", "7", "--max-examples", "8", "--phases", "examples,coverage,fuzzing"]
    flags += ["--checks", ",".join(CHECKS), "--continue-on-failure", "--request-timeout", "60", "--no-color"]
    # An event stream does not end.
    flags += ["--exclude-operation-id", "followEvents"]
    token = service.token("alice", "admin")
    done = subprocess.run(
        [*command, *flags, "--header", f"Authorization: Bearer {token}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    # And it has looked: a run that selects nothing is no proof.
    operations = sum(len(path) for path in json.loads(DOCUMENT.read_text())["paths"].values())
    assert f"Selected: {operations - 1}/{operations}" in done.stdout, done.stdout


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The package that openapi-python-client makes of the document."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yml").write_text(OVERRIDES)
    command = [TOOLS / "openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none"]
    options = ["--output-path", folder / "courant_http", "--config", folder / "config.yml", "--fail-on-warning"]
    # It formats what it has made by ruff.
    environment = {**os.environ, "PATH": os.pathsep.join([str(TOOLS), os.environ["PATH"]])}
    done = subprocess.run(
        [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield lambda name: importlib.import_module(f"courant_http.{name}")
    sys.path.remove(str(folder))


def test_a_generated_client_submits_follows_and_reads(service, generated):
    jobs, types = generated("api.jobs"), generated("types")
    calls = {name: importlib.import_module(f"{jobs.__name__}.{name}") for name in ("submit_job", "get_job", "list_jobs", "get_result")}
    models = generated("models")
    client = generated("client").AuthenticatedClient(base_url=f"http://{service.http}", token=service.user, timeout=PATIENCE)
    with SAMPLE.open("rb") as document:
        submitted = calls["submit_job"].sync(
            client=client,
            body=types.File(payload=document),
            name="generated.pdf",
            label=["made:by-generator"],
            formats=[models.SubmitJobFormatsItem.MD, models.SubmitJobFormatsItem.JSON],
            pages=2,
        )
    assert isinstance(submitted, models.JobAnswer), submitted
    job, until = submitted.job, time.monotonic() + PATIENCE
    while job.end_time is None:
        assert time.monotonic() < until
        job = calls["get_job"].sync(job.job_id, client=client).job
    assert (job.state, job.filename) == (models.JobState.SUCCEEDED, "generated.pdf")
    listed = calls["list_jobs"].sync(client=client, label=["made:by-generator"], state=[models.ListJobsStateItem.SUCCEEDED], page_size=5)
    assert [one.job_id for one in listed.jobs] == [job.job_id]
    result = calls["get_result"].sync_detailed(job.job_id, models.GetResultFormat.MD, client=client)
    assert (result.status_code, b"Two-Column Document" in result.content) == (200, True)
    gone = calls["get_job"].sync_detailed("no-such-job", client=client)
    assert (gone.status_code, gone.parsed.code) == (404, "JOB_NOT_FOUND")
