"""One call from a document to its result: over HTTP, over gRPC, by the command and by the Python package."""

import json
import subprocess
import threading

import courant
import grpc
import httpx
import pytest

from conftest import BIN, PATIENCE, ROOT, SAMPLE, Up, bearer, clean_environment
from programs import until

WORDS = "Two-Column Document"
LOCKED = ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/password-openpassword.pdf"


def http(up, user="alice"):
    headers = {"authorization": f"Bearer {up.token(user)}"}
    return httpx.Client(base_url=f"http://{up.http}", headers=headers, timeout=PATIENCE)


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """Nobody works here, and each user may wait once."""
    running = Up(tmp_path_factory.mktemp("idle"), ("--workers", "0", "--conversions-per-user", "1", "--max-conversions", "2"))
    yield running
    running.stop()


def test_the_answer_is_the_result_in_the_format_that_is_named_or_accepted(up):
    with http(up) as client:
        for query, accept, kind in [
            ({}, "*/*", "text/markdown"),
            ({}, "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
            ({"format": "txt"}, "application/json", "text/plain"),
        ]:
            answer = client.post("/v1/convert", params=query, content=SAMPLE.read_bytes(), headers={"accept": accept})
            assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind), answer.text
            assert WORDS in answer.text
        answer = client.post("/v1/convert", content=SAMPLE.read_bytes(), headers={"accept": "application/json"})
        assert answer.json()["document"]["pages"] == 3
        job = client.get(answer.headers["content-location"]).json()["job"]
        # What nobody reads was not made.
        assert [export["format"] for export in job["result"]["formats"]] == ["json"]
        assert job["jobId"] == answer.headers["courant-job"]
        refused = client.post("/v1/convert", content=b"%PDF", headers={"accept": "image/png"})
        assert (refused.status_code, refused.json()["code"]) == (406, "NOT_ACCEPTABLE")


def test_a_form_and_an_output_by_its_name(up):
    with http(up) as client:
        data = {"output": "result.txt", "name": "named.pdf", "requestId": "form-1"}
        answer = client.post("/v1/convert", data=data, files={"file": ("x.pdf", SAMPLE.read_bytes(), "application/pdf")})
        assert answer.status_code == 200 and WORDS in answer.text, answer.text
        # The same request again is the same job.
        again = client.post("/v1/convert", data=data, files={"file": ("x.pdf", SAMPLE.read_bytes(), "application/pdf")})
        assert again.headers["courant-job"] == answer.headers["courant-job"]
        none = client.post("/v1/convert", params={"output": "words.csv"}, content=SAMPLE.read_bytes())
        assert (none.status_code, none.json()["code"]) == (404, "RESULT_NOT_FOUND")


def test_parameters_say_how_it_is_read_and_must_have_the_format(up):
    with http(up) as client:
        query = {"format": "md", "parameters": '{"pages": 2, "formats": ["md"]}'}
        answer = client.post("/v1/convert", params=query, content=SAMPLE.read_bytes())
        assert answer.status_code == 200 and "<!-- page 2 -->" in answer.text and WORDS not in answer.text, answer.text
        query["parameters"] = '{"formats": ["json"]}'
        refused = client.post("/v1/convert", params=query, content=SAMPLE.read_bytes())
        assert refused.status_code == 400 and refused.json()["errors"][0]["field"] == "parameters.formats", refused.text


def test_a_failed_job_is_422_with_its_error(up):
    with http(up) as client:
        refused = client.post("/v1/convert", content=LOCKED.read_bytes())
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (422, "JOB_FAILED")
        assert problem["jobError"]["code"] == "PASSWORD_REQUIRED" and problem["detail"] == problem["jobError"]["message"]
        assert client.get(f"/v1/jobs/{problem['jobId']}").json()["job"]["state"] == "failed"
        form = {"file": ("locked.pdf", LOCKED.read_bytes(), "application/pdf")}
        opened = client.post("/v1/convert", data={"password": "openpassword", "format": "txt"}, files=form)
        assert opened.status_code == 200, opened.text


def test_what_takes_longer_is_202_with_a_cursor_from_which_nothing_is_missed(idle):
    with http(idle, "patience") as client:
        answer = client.post("/v1/convert", params={"wait": 0.2}, content=SAMPLE.read_bytes())
        job, cursor = answer.json()["job"], answer.json()["cursor"]
        assert (answer.status_code, answer.headers["location"], job["state"]) == (202, f"/v1/jobs/{job['jobId']}", "queued")
        preferred = client.post("/v1/convert", content=SAMPLE.read_bytes(), headers={"prefer": "respond-async, wait=0"})
        assert (preferred.status_code, preferred.headers["preference-applied"]) == (202, "wait=0")
        client.post(f"/v1/jobs/{job['jobId']}:cancel").raise_for_status()
        events = client.get("/v1/events:poll", params={"topic": f"job/{job['jobId']}", "after": cursor})
        assert "job-cancelled" in [message["type"] for message in events.json()["messages"]]


def waiting(up, user, **query):
    """A conversion that waits on a connection of its own, and its job once there is one."""
    client = http(up, user)
    request = client.build_request("POST", "/v1/convert", params={"wait": 600, "label": "who:waits", **query}, content=SAMPLE.read_bytes())
    done = []

    def run():
        try:
            done.append(client.send(request))
        except httpx.HTTPError as error:
            done.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with http(up, user) as other:
        job = until("the job", lambda: next(iter(other.get("/v1/jobs", params={"label": "who:waits"}).json()["jobs"]), None))
    return client, job, done


def state(up, user, job):
    with http(up, user) as client:
        return client.get(f"/v1/jobs/{job['jobId']}").json()["job"]["state"]


def drop(client):
    """Closes the connections under a request that is being answered."""
    for connection in client._transport._pool.connections:
        stream = connection._connection._network_stream
        stream.get_extra_info("socket").shutdown(2)


def test_a_client_that_goes_away_cancels_its_job_if_it_asked_for_that(idle):
    client, job, _ = waiting(idle, "asks", cancelOnDisconnect="true")
    assert state(idle, "asks", job) == "queued"
    drop(client)
    until("the cancelled job", lambda: state(idle, "asks", job) == "cancelled")
    client, kept, done = waiting(idle, "stays")
    drop(client)
    until("the end of the client", lambda: done)
    # Its share was given back, so the server has noticed.
    with http(idle, "stays") as other:
        until("another conversion", lambda: other.post("/v1/convert?wait=0", content=b"%PDF-").status_code == 202)
    assert state(idle, "stays", kept) == "queued"


def test_a_service_that_stops_answers_with_the_job(tmp_path):
    stopping = Up(tmp_path, ("--workers", "0", "--lame-duck", "0s"))
    try:
        _client, job, done = waiting(stopping, "alice")
        stopping.process.terminate()
        (answer,) = until("the answer", lambda: done)
        assert (answer.status_code, answer.json()["job"]["jobId"]) == (202, job["jobId"])
    finally:
        stopping.stop()


def test_a_user_at_the_limit_takes_nothing_from_another(idle):
    client, job, done = waiting(idle, "greedy")
    with http(idle, "greedy") as greedy, http(idle, "modest") as modest:
        refused = greedy.post("/v1/convert?wait=0", content=SAMPLE.read_bytes())
        assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY")
        assert "conversions" in refused.json()["detail"] and int(refused.headers["retry-after"]) >= 1
        assert modest.post("/v1/convert?wait=0", content=SAMPLE.read_bytes()).status_code == 202
        # All together may have two.
        second, other, _ = waiting(idle, "second")
        assert modest.post("/v1/convert?wait=0", content=SAMPLE.read_bytes()).status_code == 429
        # Whoever waits is answered when the job is cancelled.
        greedy.post(f"/v1/jobs/{job['jobId']}:cancel").raise_for_status()
        (answer,) = until("the answer", lambda: done)
        assert (answer.status_code, answer.json()["detail"]) == (422, "the job was cancelled")
    with http(idle, "second") as client:
        client.post(f"/v1/jobs/{other['jobId']}:cancel").raise_for_status()
    second.close()


def test_over_grpc_the_stream_says_the_job_first_and_then_the_result(up, stubs, channel):
    pb, job_pb = stubs.job_service_pb2, stubs.job_pb2
    service = stubs.job_service_pb2_grpc.JobServiceStub(channel)
    document = SAMPLE.read_bytes()

    def parts(**header):
        submit = pb.SubmitJobHeader(filename="grpc.pdf", document_bytes=len(document))
        yield pb.ConvertDocumentRequest(header=pb.ConvertDocumentHeader(submit=submit, **header))
        for start in range(0, len(document), 1 << 16):
            yield pb.ConvertDocumentRequest(chunk=document[start : start + (1 << 16)])

    call = service.ConvertDocument(parts(format=job_pb.RESULT_FORMAT_MARKDOWN), metadata=bearer(up.user), timeout=PATIENCE)
    first, header, *chunks = list(call)
    assert first.submitted.job.filename == "grpc.pdf" and first.submitted.cursor
    assert header.header.content_type == "text/markdown; charset=utf-8"
    assert WORDS in b"".join(chunk.chunk for chunk in chunks).decode()
    with pytest.raises(grpc.RpcError) as refused:
        list(service.ConvertDocument(parts(), metadata=bearer(up.user), timeout=PATIENCE))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_the_command_writes_the_result(up, tmp_path):
    assert WORDS in up.courant("convert", str(SAMPLE), "-o", "-", "--format", "md")
    up.courant("convert", str(SAMPLE), "--output-name", "result.json", "-o", str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text())["document"]["pages"] == 3
    command = [BIN, "convert", str(LOCKED), "--data-dir", up.data]
    refused = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    assert refused.returncode == 1 and "PASSWORD_REQUIRED" in refused.stderr and refused.stdout == ""


def test_the_command_says_which_job_goes_on(idle):
    command = [BIN, "convert", str(SAMPLE), "--wait", "1s", "--data-dir", idle.data]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=PATIENCE, check=False)
    assert done.returncode == 1 and "has not ended yet and goes on" in done.stderr


def test_the_package_converts_by_one_call(up):
    with courant.Client(f"http://{up.grpc}", token=up.user) as client:
        assert WORDS in client.convert(SAMPLE, "txt", timeout=PATIENCE).decode()
        with pytest.raises(courant.JobFailed) as failed:
            client.convert(LOCKED, timeout=PATIENCE)
        assert failed.value.job.error.code == "PASSWORD_REQUIRED"
