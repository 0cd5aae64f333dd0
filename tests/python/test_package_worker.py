"""Workers of the Python package: what they report, and how they survive servers, operators and their own handlers."""

import asyncio
import pathlib
import signal
import threading
import time

import courant
import pytest
from conftest import PATIENCE
from courant.v1 import job_pb2, worker_service_pb2
from package import Script, Service, steady_port
from programs import until

TEXT = b"one two three"
DRAINED = pathlib.Path(__file__).with_name("drained_worker.py")


@pytest.fixture
def service(tmp_path):
    running = Service(tmp_path)
    yield running
    running.kill()


def types(client, job):
    return [event.type.value for event in client.watch(job, after=job.cursor) if event.revision]


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


def test_a_killed_server_costs_no_attempt(service):
    begun, go_on = threading.Event(), threading.Event()

    @courant.worker("long")
    def long(task):
        document = task.document()
        task.plan(50)
        task.page(1, 1)
        begun.set()
        assert go_on.wait(PATIENCE)
        for number in range(2, 51):  # More reports than there may be unacknowledged, while no server is there.
            task.progress(number, f"page {number}")
            task.page(number, number)
        task.export("txt", document)

    with service.working(long, worker_id="long-1") as worker, service.client() as client:
        job = client.submit(TEXT, kind="long")
        assert begun.wait(PATIENCE)
        service.kill()
        go_on.set()
        until("the worker to notice", lambda: worker.status == "connecting")
        service.start()
        done = client.wait(job, PATIENCE, check=True)
        assert (done.attempt, done.pages_done) == (1, 50) and client.result(job, "txt") == TEXT
        assert types(client, job).count("started") == 1
        assert worker.status == "serving"


def test_a_job_that_is_no_longer_the_workers_stops_its_handler(service):
    begun, stopped = threading.Event(), threading.Event()

    @courant.worker("lost")
    def lost(task):
        if stopped.is_set():
            return
        begun.set()
        try:
            task.sleep(PATIENCE)
        except courant.Stopped:
            stopped.set()
            raise

    with service.client() as client, service.working(lost) as worker:
        job = client.submit(TEXT, kind="lost")
        assert begun.wait(PATIENCE)
        service.kill()
        until("the worker to notice", lambda: worker.status == "connecting")
        service.forget()
        service.start()
        assert stopped.wait(PATIENCE), "a log that knows nothing of the job does not confirm that it is in flight"
        with pytest.raises(courant.NotFound):
            client.get(job)
        assert client.wait(client.submit(TEXT, kind="lost"), PATIENCE).succeeded, "the worker goes on"


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


def test_a_handler_that_does_not_stop_holds_up_no_job(service):
    begun, end = threading.Event(), threading.Event()

    @courant.worker("deaf")
    def deaf(task):
        begun.set()
        end.wait(PATIENCE)

    with service.working(deaf, stop_timeout=0.1), service.client() as client:
        job = client.submit(TEXT, kind="deaf")
        assert begun.wait(PATIENCE)
        client.cancel(job)
        assert client.wait(job, PATIENCE).state is courant.JobState.CANCELLED
        end.set()


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


def test_sigterm_lets_jobs_end_or_hands_them_back(service):
    token = service.token("drained", "worker")
    with service.client() as client:
        patient = Script(DRAINED, service.url, token, "patient", "60")
        job = client.submit(TEXT, kind="drained")
        patient.says("begun")
        patient.process.send_signal(signal.SIGTERM)
        assert client.wait(job, PATIENCE, check=True).attempt == 1
        patient.says("ended")
        assert patient.process.wait(PATIENCE) == 0
        hasty = Script(DRAINED, service.url, token, "hasty", "0")
        job = client.submit(TEXT, kind="drained")
        hasty.says("begun")
        until("a page", lambda: client.get(job).pages_done == 1)
        hasty.process.send_signal(signal.SIGTERM)
        hasty.says("ended")
        assert hasty.process.wait(PATIENCE) == 0
        waiting = client.get(job)
        assert waiting.state is courant.JobState.QUEUED and waiting.pages_done == 1
        other = Script(DRAINED, service.url, token, "other", "60")
        client.wait(job, PATIENCE, check=True)
        assert client.result_text(job, "txt") == "other [1]"
        other.stop()


def test_a_killed_worker_that_comes_back_under_its_id_gets_its_job_again(service):
    token = service.token("drained", "worker")
    with service.client() as client:
        first = Script(DRAINED, service.url, token, "steady", "0")
        job = client.submit(TEXT, kind="drained")
        first.says("begun")
        until("a page", lambda: client.get(job).pages_done == 1)
        first.stop()
        again = Script(DRAINED, service.url, token, "steady", "60")
        assert client.wait(job, PATIENCE, check=True).attempt == 2
        again.stop()


def test_a_handler_that_computes_keeps_its_lease(tmp_path):
    service = Service(tmp_path, "--lease", "1s")

    @courant.worker("busy")
    def busy(task):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            sum(n * n for n in range(1000))

    @courant.worker("busy-async")
    async def busy_async(task):
        busy(task)

    with service.working(busy, busy_async, slots=2), service.client() as client:
        jobs = [client.submit(TEXT, kind=kind) for kind in ("busy", "busy-async")]
        assert [client.wait(job, PATIENCE, check=True).attempt for job in jobs] == [1, 1]
    service.kill()


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


def test_reports_wait_for_a_store_that_is_away(tmp_path):
    """A report whose artifact cannot be looked for is deferred with all behind it, and taken in order when the store is back."""
    service = Service(tmp_path, "--small-file-bytes", "0")
    begun, go_on = threading.Event(), threading.Event()

    @courant.worker("stored")
    def stored(task):
        task.plan(2)
        begun.set()
        assert go_on.wait(PATIENCE)
        for number in (1, 2):
            # Only the reports: the server forgets which artifacts it has stored itself, and looks for them.
            report = worker_service_pb2.ReportPage(attempt=task._work.attempt.name, page=job_pb2.Page(number=number))
            task._loop.run(task._work._report(page=report))

    with service.working(stored) as worker, service.client() as client:
        job = client.submit(TEXT, kind="stored")
        assert begun.wait(PATIENCE)
        (folder,) = (service.data / "objects/jobs").glob(f"*{job.id}*")
        for number in (1, 2):
            (folder / "a1/pages").mkdir(parents=True, exist_ok=True)
            (folder / f"a1/pages/{number:06}.json").write_text("{}")
        folder.rename(tmp_path / "away")
        folder.symlink_to(folder)  # What is asked for in it is a loop.
        go_on.set()
        attempts = worker._core._attempts
        until("the report to be deferred", lambda: any(at.outbox.deferred_until for at in list(attempts.values())))
        assert client.get(job).pages_done == 0
        folder.unlink()
        (tmp_path / "away").rename(folder)
        assert client.wait(job, PATIENCE, check=True).attempt == 1
        assert [number for number, _ in client.pages(job)] == [1, 2]
    service.kill()
