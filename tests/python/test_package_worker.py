"""Workers of the Python package: what handlers say, hear, and are refused."""

import asyncio
import threading

import courant
import pytest
from conftest import PATIENCE
from package import steady_port
from programs import until

TEXT = b"one two three"


@pytest.fixture
def service(start_service):
    return start_service()


@courant.worker("words")
def words(task):
    """All that a handler can say."""
    text = task.document().decode()
    assert task.document_path().read_text() == text and task.document_path().suffix == ".txt"
    task.plan(2)
    task.progress(10, "Counting …" + "…" * 200, (0, 2))
    box = (0, 0, 100, 20)
    task.page(1, {"words": len(text.split())}, width=612, height=792, zones=[courant.zone(1, 1, "heading", box)], seconds=0.5)
    task.page(2, b'{"words":0}', warnings=["It is empty."])
    assert task.export("txt", f"{len(text.split())} words\n") and not task.export("html", "<p>")
    task.export_failed("json", "NO_JSON", "There is none.")
    task.warn("Few words.")


@courant.worker("words-async")
async def words_async(task):
    text = (await task.document()).decode()
    assert (await task.document_path()).read_text() == text
    await task.plan(1)
    task.progress(10, "Counting")
    await task.page(1, {"words": len(text.split())})
    await task.export(courant.ResultFormat.TEXT, f"{len(text.split())} words\n")


def test_what_a_handler_says_arrives(service):
    with service.working(words, words_async, slots=2), service.client() as client:
        job = client.submit(TEXT, kind="words", filename="notes.TXT", formats=["txt", "json"])
        done = client.wait(job, PATIENCE, check=True)
        assert client.result_text(job, "txt") == "3 words\n" and done.warnings == ["page 2: It is empty.", "Few words."]
        assert list(client.pages(job)) == [(1, {"words": 3}), (2, {"words": 0})]
        assert [(export.format.value, export.state.value) for export in done.exports] == [("txt", "completed"), ("json", "failed")]
        pages = [event.page for event in client.watch(job, after=job.cursor) if event.page]
        assert pages[0].width == 612 and pages[0].zones[0].zone_id == "p1z1" and list(pages[1].warnings) == ["It is empty."]
        job = client.submit(TEXT, kind="words-async", filename="../../notes.t/xt")
        assert client.wait(job, PATIENCE, check=True).attempt == 1
        assert client.result_text(job, "txt") == "3 words\n"


def test_parameters_and_labels_go_in_and_outputs_come_out(service, tmp_path):
    parameters = {"language": "de", "big": 12345678901234567890, "list": [1, {"ä": None}]}
    large = b"x" * (5 << 20)

    @courant.worker("outputs")
    def outputs(task):
        assert task.parameters == parameters and task.labels == {"team": "law"}
        task.output("words.csv", "a,b\n")
        task.output("parts/large.bin", large)
        path = tmp_path / "made.png"
        path.write_bytes(b"png")
        task.output("picture.png", path)
        task.output("odd", b"", media_type="application/x-odd")
        task.output("words.csv", "a,b,c\n")
        task.export("txt", "text")

    with service.working(outputs), service.client() as client:
        job = client.submit(TEXT, kind="outputs", parameters=parameters, labels={"team": "law"})
        done = client.wait(job, PATIENCE, check=True)
        assert done.parameters == client.get(job).parameters == parameters
        listed = {output.name: (output.media_type, output.size_bytes, output.attempt) for output in client.outputs(job)}
        assert listed["words.csv"] == ("text/csv; charset=utf-8", 6, 1)
        assert listed["parts/large.bin"] == ("application/octet-stream", len(large), 1)
        assert listed["picture.png"] == ("image/png", 3, 1) and listed["odd"] == ("application/x-odd", 0, 1)
        assert "result.txt" in listed and {output.name for output in done.outputs} == set(listed) - {"result.txt"}
        assert client.output(job, "words.csv") == b"a,b,c\n" and client.output(job, "odd") == b""
        assert client.output(job, "parts/large.bin", offset=len(large) - 2) == b"xx"
        client.save_output(job, "parts/large.bin", tmp_path / "large")
        assert (tmp_path / "large").read_bytes() == large
        stored = [event.output.name for event in client.watch(job, after=job.cursor) if event.output]
        assert stored == ["words.csv", "parts/large.bin", "picture.png", "odd", "words.csv"]
        with pytest.raises(courant.NotFound):
            client.output(job, "none")
        large_parameters = {"text": "x" * 10_000}
        job = client.submit(TEXT, kind="none", parameters=large_parameters)
        assert client.get(job).parameters == large_parameters
        with pytest.raises(courant.InvalidRequest, match="parameters"):
            client.submit(TEXT, kind="none", parameters={"text": "x" * 70_000})


def test_cancelling_stops_handlers_of_both_kinds(service):
    cleaned = []
    ready = threading.Barrier(3)

    @courant.worker("sync")
    def sync(task):
        ready.wait(PATIENCE)
        try:
            while True:
                task.check()
                task.sleep(0.01)
        except Exception:
            cleaned.append("a handler must not catch this by accident")
        finally:
            cleaned.append("sync")

    @courant.worker("async")
    async def asynchronous(task):
        await asyncio.to_thread(ready.wait, PATIENCE)
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("async")

    with service.working(sync, asynchronous, slots=2), service.client() as client:
        jobs = [client.submit(TEXT, kind=kind) for kind in ("sync", "async")]
        ready.wait(PATIENCE)
        for job in jobs:
            client.cancel(job)
        assert [client.wait(job, PATIENCE).state.value for job in jobs] == ["cancelled", "cancelled"]
        assert sorted(cleaned) == ["async", "sync"], "the job has ended once nothing of it runs any more"


def test_errors_say_whether_trying_again_helps(service):
    tries = []

    @courant.worker("failing")
    def failing(task):
        tries.append(task.attempt)
        if task.filename == "permanent":
            raise courant.PermanentError("NO_SENSE", "The document makes no sense.")
        if task.filename == "fault":
            raise ZeroDivisionError("secret words")
        task.plan(2)
        if task.attempt == 1:
            task.page(1, {"attempt": 1})
            raise courant.RetryableError("BUSY", "Too much to do.")
        assert task.pages_total == 2 and task.finished_pages == [1] and task.read_page(1) == b'{"attempt":1}'
        task.page(2, {"attempt": 2})

    with service.working(failing), service.client() as client:
        job = client.submit(TEXT, kind="failing", filename="permanent")
        ended = client.wait(job, PATIENCE)
        assert (ended.error.code, ended.attempt) == ("NO_SENSE", 1)
        job = client.submit(TEXT, kind="failing", filename="fault")
        ended = client.wait(job, PATIENCE)
        assert (ended.error.code, ended.attempt) == ("WORKER_FAULT", 3)
        assert "ZeroDivisionError" in ended.error.message and "secret" not in ended.error.message
        job = client.submit(TEXT, kind="failing", filename="retryable")
        assert client.wait(job, PATIENCE, check=True).attempt == 2
        assert list(client.pages(job)) == [(1, {"attempt": 1}), (2, {"attempt": 2})]
    assert tries == [1, 1, 2, 3, 1, 2]


def test_reports_that_make_no_sense_fail_the_job(service):
    @courant.worker("nonsense")
    def nonsense(task):
        if task.filename == "name":
            task.write_artifact("../escape", b"")
        if task.filename == "zone":
            task.page(1, {}, zones=[courant.zone(1, 1, "nose", (0, 0, 1, 1))])
        task.plan(1)
        task.page(2, {})
        task.sleep(PATIENCE)

    with service.working(nonsense), service.client() as client:
        for name, code in [("page", "INVALID_REPORT"), ("name", "SERVER_REFUSED"), ("zone", "WORKER_FAULT")]:
            assert client.wait(client.submit(TEXT, kind="nonsense", filename=name), PATIENCE).error.code == code


def test_two_workers_share_the_work(service):
    together = threading.Barrier(2)

    @courant.worker("shared")
    def shared(task):
        together.wait(PATIENCE)
        task.export("txt", threading.current_thread().name)

    with service.client() as client, service.working(shared, worker_id="one"), service.working(shared, worker_id="two"):
        jobs = [client.submit(TEXT, kind="shared") for _ in range(4)]
        assert all(client.wait(job, PATIENCE).succeeded for job in jobs)
        workers = {event.job.worker_id for job in jobs for event in client.watch(job, after=job.cursor) if event.job}
        assert {"one", "two"} <= workers


def test_a_worker_that_may_not_work_is_told_why(service):
    for token, says in [("nonsense", "TOKEN_INVALID"), (service.token("alice"), "ROLE_REQUIRED")]:
        with pytest.raises(courant.WorkerRefused, match=says):
            courant.Worker(service.url, [words], token=token).run()
    with service.working(words, user="owner", worker_id="mine") as mine:
        until("the worker to be there", lambda: mine.status == "serving")
        with pytest.raises(courant.WorkerRefused, match="WORKER_ID_TAKEN"):
            courant.Worker(service.url, [words], token=service.token("thief", "worker"), worker_id="mine").run()
    for wrong, says in [
        (lambda: courant.worker("No Kind")(len), "a-z, 0-9 and hyphen"),
        (lambda: courant.Worker(service.url, [words, words], token="x"), "two handlers"),
        (lambda: courant.Worker(service.url, [words], token="x", slots=0), "1 to 1024"),
        (lambda: courant.Worker(service.url, [words], token="x", worker_id="a b"), "1 to 64"),
        (lambda: courant.Worker(service.url, token="x").run(), "no handler"),
        (lambda: courant.Worker("ftp://h", [words], token="x"), "http://127.0.0.1:50051"),
    ]:
        with pytest.raises(ValueError, match=says):
            wrong()


def test_a_worker_that_is_replaced_stops_what_it_does(service):
    begun, stopped = threading.Event(), threading.Event()

    @courant.worker("replaced")
    def replaced(task):
        if begun.is_set():
            return
        begun.set()
        try:
            task.sleep(PATIENCE)
        except courant.Stopped:
            stopped.set()
            raise

    with service.client() as client, pytest.raises(courant.WorkerRefused, match="WORKER_REPLACED"):
        with service.working(replaced, worker_id="one"):
            job = client.submit(TEXT, kind="replaced")
            assert begun.wait(PATIENCE)
            with service.working(replaced, worker_id="one"):
                assert stopped.wait(PATIENCE)
                assert client.wait(job, PATIENCE, check=True).worker_id in ("", "one")


def test_of_several_servers_one_that_answers_is_used(service):
    urls = f"http://127.0.0.1:{steady_port()},{service.url}"
    worker = courant.Worker(urls, [words], token=service.token("worker", "worker"))
    thread = threading.Thread(target=worker.run)
    thread.start()
    with service.client() as client:
        assert client.wait(client.submit(TEXT, kind="words", filename="n.txt", formats=["txt"]), PATIENCE).succeeded
    worker.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_worker_runs_within_a_program_with_asyncio(service):
    async def story():
        worker = courant.Worker(service.url, token=service.token("worker", "worker"))

        @worker.handler("inside")
        async def inside(task):
            await task.export("txt", "inside")

        serving = asyncio.ensure_future(worker.serve())
        async with courant.AsyncClient(service.url, token=service.token("alice")) as client:
            assert await client.convert(TEXT, "txt", timeout=PATIENCE, kind="inside") == b"inside"
        worker.stop()
        await asyncio.wait_for(serving, PATIENCE)

    asyncio.run(story())
