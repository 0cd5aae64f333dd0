"""The client of the Python package, with and without asyncio, against a real server."""

import asyncio
import io
import threading
import time

import courant
import pytest
from conftest import PATIENCE, SAMPLE
from package import Service, Way, steady_port
from papers import Papers
from programs import until

TEXT = b"one two three\n" * 20_000


@courant.worker("echo")
def echo(task):
    """Gives the document back as text, in pages of one line each for the first two."""
    document = task.document()
    task.plan(2)
    for number in (1, 2):
        task.page(number, {"line": document.splitlines()[number - 1].decode()})
    task.export("txt", document)


@courant.worker("broken")
def broken(task):
    raise courant.PermanentError("NO_SENSE", "The document makes no sense.")


@courant.worker("slow")
def slow(task):
    task.sleep(PATIENCE)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("service"))
    with running.working(echo, broken, slow, slots=4):
        yield running
    running.kill()


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def test_a_document_goes_in_and_everything_comes_out(client, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(TEXT)
    job = client.submit(path, kind="echo", labels={"team": "law"}, lane="premium", batch_id="b", document_id="d")
    assert (job.filename, job.document_bytes, job.lane, job.labels) == ("notes.txt", len(TEXT), courant.Lane.PREMIUM, {"team": "law"})
    done = client.wait(job, PATIENCE, check=True)
    assert done.succeeded and done.pages_done == 2 and done.error is None and done.end_time >= done.start_time
    assert client.result(job, "txt") == TEXT and client.result_text(job, courant.ResultFormat.TEXT) == TEXT.decode()
    assert client.result(job, "txt", offset=4, limit=9) == b"two three"
    assert client.result(job, "txt", offset=len(TEXT)) == b""
    client.save_result(job, tmp_path / "result.txt", "txt")
    client.save_document(job.id, tmp_path / "document.txt")
    assert (tmp_path / "result.txt").read_bytes() == (tmp_path / "document.txt").read_bytes() == TEXT
    assert client.document(job, offset=4, limit=3) == b"two"
    assert list(client.pages(job)) == [(1, {"line": "one two three"}), (2, {"line": "one two three"})]
    assert client.page(job, 2) == {"line": "one two three"}
    client.delete(job)
    with pytest.raises(courant.NotFound) as gone:
        client.get(job)
    assert gone.value.reason == "JOB_NOT_FOUND"
    assert [file.name for file in tmp_path.iterdir() if "partial" in file.name] == []


def test_documents_are_paths_bytes_and_files_of_all_kinds(client, tmp_path):
    class Stream(io.RawIOBase):
        """Cannot be read twice."""

        def __init__(self):
            self.rest = io.BytesIO(TEXT)

        def readable(self):
            return True

        def readinto(self, target):
            return self.rest.readinto(target)

    opened = io.BytesIO(b"before" + TEXT)
    opened.seek(6)
    for document in (TEXT, bytearray(TEXT), memoryview(TEXT), opened, io.BufferedReader(Stream())):
        job = client.submit(document, kind="echo", filename="a.txt")
        client.wait(job, PATIENCE, check=True)
        assert client.document(job) == TEXT and job.filename == "a.txt"
    path = tmp_path / "t.txt"
    path.write_text("words")
    with pytest.raises(TypeError, match='mode "rb"'), open(path) as text:
        client.submit(text, kind="echo")
    with pytest.raises(FileNotFoundError):
        client.submit(tmp_path / "none", kind="echo")
    with pytest.raises(TypeError, match="path, bytes or a file"):
        client.submit(7, kind="echo")


def test_lists_go_over_pages_by_themselves(client):
    made = [client.submit(TEXT, kind="broken", batch_id="list", labels={"n": str(n)}).id for n in range(7)]
    for job in made:
        client.wait(job, PATIENCE)
    assert [job.id for job in client.list(batch_id="list", page_size=2)] == made[::-1]
    assert [job.id for job in client.list(batch_id="list", labels={"n": "3"})] == [made[3]]
    assert [job.id for job in client.list(batch_id="list", states=["failed"], filter='labels.n = "5"')] == [made[5]]
    assert list(client.list(batch_id="list", states=[courant.JobState.SUCCEEDED])) == []


def test_a_failed_job_says_why_and_is_tried_again(client):
    job = client.submit(TEXT, kind="broken")
    ended = client.wait(job, PATIENCE)
    assert ended.state is courant.JobState.FAILED and ended.error.code == "NO_SENSE" and not ended.error.retryable
    with pytest.raises(courant.JobFailed, match="makes no sense") as failed:
        client.wait(job, PATIENCE, check=True)
    assert failed.value.reason == "NO_SENSE" and failed.value.job.id == job.id
    again = client.retry(job)
    assert not again.ended and client.wait(job, PATIENCE).attempt == 2
    events = [event.type.value for event in client.watch(job, after=job.cursor) if event.revision]
    assert events == ["queued", "started", "failed", "retrying", "started", "failed"]


def test_waiting_ends_with_its_time_and_cancelling_ends_the_job(client):
    job = client.submit(TEXT, kind="slow")
    with pytest.raises(courant.WaitTimeout, match=r"had not ended after 0\.2 s"):
        client.wait(job, 0.2)
    until("the job to run", lambda: client.get(job).state is courant.JobState.RUNNING)
    assert client.cancel(job).state is courant.JobState.CANCELLING
    assert client.wait(job, PATIENCE).state is courant.JobState.CANCELLED
    done = client.wait(client.submit(TEXT, kind="echo"), PATIENCE)
    with pytest.raises(courant.Conflict) as refused:
        client.retry(done)
    assert refused.value.reason == "JOB_STATE"


def test_one_call_converts(client):
    assert client.convert(TEXT, "txt", timeout=PATIENCE, kind="echo") == TEXT
    with pytest.raises(courant.JobFailed):
        client.convert(TEXT, "txt", timeout=PATIENCE, kind="broken")


def test_the_same_request_is_the_same_job(client):
    first = client.submit(TEXT, kind="echo", request_id="same")
    assert client.submit(TEXT, kind="echo", request_id="same").id == first.id
    with pytest.raises(courant.Conflict) as other:
        client.submit(b"another", kind="echo", request_id="same")
    assert other.value.reason == "REQUEST_ID_MISMATCH"


def test_a_lost_answer_makes_no_second_job(service, client):
    way = Way(service.port)
    with courant.Client(way.url, token=service.token("alice")) as cut:
        # Fits into what HTTP/2 sends without an answer.
        small = TEXT[:1400]
        cut.get(client.submit(small, kind="echo"))
        way.swallow()
        made = []
        submitting = threading.Thread(target=lambda: made.append(cut.submit(small, kind="echo", batch_id="lost")))
        submitting.start()
        existing = until("the job to be there", lambda: list(client.list(batch_id="lost")))
        way.cut()
        submitting.join(PATIENCE)
        assert [job.id for job in made] == [job.id for job in existing]
        assert len(list(client.list(batch_id="lost"))) == 1
    way.stop()


def test_wrong_requests_are_told_what_is_wrong(client):
    with pytest.raises(courant.InvalidRequest) as kind:
        client.submit(TEXT, kind="No Kind")
    assert kind.value.reason == "INVALID_FIELD" and kind.value.code == "INVALID_ARGUMENT"
    assert any("kind" in field for field in kind.value.fields), kind.value.fields
    for wrong, reason in [
        (lambda: client.submit(b"", kind="echo"), "DOCUMENT_EMPTY"),
        (lambda: list(client.list(filter="state =")), "FILTER_INVALID"),
        (lambda: list(client.watch(client.submit(TEXT, kind="echo"), after="no cursor")), "CURSOR_INVALID"),
        (lambda: list(client.list(owner="bob")), "ROLE_REQUIRED"),
        (lambda: client.result(client.submit(TEXT, kind="slow"), "txt"), "RESULT_NOT_READY"),
    ]:
        with pytest.raises(courant.CourantError) as refused:
            wrong()
        assert refused.value.reason == reason and refused.value.message
    for wrong, error, says in [
        (lambda: client.submit(TEXT, formats=["pdf"]), ValueError, "json, md, txt, html"),
        (lambda: client.submit(TEXT, lane="fast"), ValueError, "premium, normal, large"),
        (lambda: client.submit(TEXT, parameters=[1]), TypeError, "JSON object"),
        (lambda: client.submit(TEXT, parameters={"a": float("nan")}), ValueError, "JSON"),
        (lambda: client.result("x", "txt", offset=-1), ValueError, "not negative"),
        (lambda: courant.Client("127.0.0.1:50051", token="x"), ValueError, "http://127.0.0.1:50051"),
        (lambda: courant.Client("http://h:1/path", token="x"), ValueError, "more than scheme"),
        (lambda: courant.Client("http://h:1"), ValueError, "token or token_file"),
        (lambda: courant.Client("http://h:1", token="x", ca_file="ca.pem"), ValueError, "https://"),
    ]:
        with pytest.raises(error, match=says):
            wrong()
    for job in client.list(states=["queued", "running"], filter="kind = slow"):
        client.cancel(job)


def test_tokens_are_fetched_anew(service, tmp_path):
    with courant.Client(service.url, token="nonsense") as stranger, pytest.raises(courant.Unauthenticated) as refused:
        next(stranger.list())
    assert refused.value.reason == "TOKEN_INVALID"
    file = tmp_path / "token"
    file.write_text(service.token("carol") + "\n")
    given = ["nonsense", service.token("carol")]
    for options in ({"token_file": file}, {"token": lambda: given.pop(0) if len(given) > 1 else given[0]}):
        with courant.Client(service.url, **options) as client:
            assert list(client.list(batch_id="none")) == []


def test_a_server_that_is_away_is_waited_for(start_service):
    with courant.Client(f"http://127.0.0.1:{steady_port()}", token="x", timeout=0.5) as client:
        begun = time.monotonic()
        with pytest.raises(courant.Unavailable):
            client.get("x")
        assert time.monotonic() - begun < 5
    away = start_service()
    with away.client(timeout=PATIENCE) as client, courant.Client(
        f"http://127.0.0.1:{steady_port()},{away.url}", token=away.token("alice"), timeout=PATIENCE
    ) as of_two:
        job = client.submit(TEXT, kind="echo")
        away.kill()
        got = []
        waiting = [threading.Thread(target=lambda c=c: got.append(c.get(job).id)) for c in (client, of_two)]
        for thread in waiting:
            thread.start()
        away.start()
        for thread in waiting:
            thread.join(PATIENCE)
        assert got == [job.id, job.id]


def test_tls_with_a_certificate_of_its_own(start_service, tmp_path):
    papers, stranger = Papers(tmp_path / "papers"), Papers(tmp_path / "stranger", "stranger")
    cert, key = papers.sign("server")
    service = start_service("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", papers.ca, scheme="https")
    mine, its_key = papers.sign("client")
    token = service.token("alice")
    with courant.Client(service.url, token=token, ca_file=papers.ca, cert_file=mine, key_file=its_key) as client:
        assert client.submit(TEXT, kind="echo").document_bytes == len(TEXT)
    for files in ({"ca_file": papers.ca}, {"ca_file": stranger.ca, "cert_file": mine, "key_file": its_key}):
        with courant.Client(service.url, token=token, timeout=1, **files) as client, pytest.raises(courant.Unavailable):
            next(client.list())
    with pytest.raises(ValueError, match="go together"):
        courant.Client(service.url, token=token, cert_file=mine)


def test_the_same_with_asyncio(service, tmp_path):
    async def story():
        async with courant.AsyncClient(service.url, token=service.token("dora")) as client:
            jobs = await asyncio.gather(*(client.submit(TEXT, kind="echo", batch_id=f"b{n}") for n in range(5)))
            done = await asyncio.gather(*(client.wait(job, PATIENCE, check=True) for job in jobs))
            assert [job.id for job in done] == [job.id for job in jobs]
            assert await client.result(jobs[0], "txt") == TEXT
            assert [number async for number, _ in client.pages(jobs[1])] == [1, 2]
            assert {job.id async for job in client.list(page_size=2)} == {job.id for job in jobs}
            await client.save_result(jobs[2], tmp_path / "r", "txt")
            assert (tmp_path / "r").read_bytes() == TEXT
            types = [event.type.value async for event in client.watch(jobs[3], after=jobs[3].cursor) if event.revision]
            assert types[:2] == ["queued", "started"] and types[-1] == "succeeded"
            with pytest.raises(courant.NotFound):
                await client.get("nobody's")
            running = await client.submit(TEXT, kind="slow")
            with pytest.raises(courant.WaitTimeout):
                await client.wait(running, 0.1)
            await client.cancel(running)
            assert (await client.wait(running, PATIENCE)).state is courant.JobState.CANCELLED
            await client.delete(running)

    asyncio.run(story())


def test_a_real_document_of_the_built_in_worker(up):
    with courant.Client(f"http://{up.grpc}", token=up.user) as client:
        job = client.submit(SAMPLE, formats=["md"])
        assert client.wait(job, PATIENCE, check=True).pages_done == 3
        assert "Two-Column Document" in client.result_text(job)
        assert [number for number, page in client.pages(job) if page["zones"]] == [1, 2, 3]
        with pytest.raises(courant.NotFound) as none:
            client.result(job, "html")
        assert none.value.reason == "RESULT_NOT_FOUND"
