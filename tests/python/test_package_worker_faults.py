"""Workers of the Python package when servers, stores, operators and their own handlers misbehave."""

import pathlib
import signal
import threading
import time

import pytest

import courant
from conftest import PATIENCE
from courant.v1 import job_pb2, worker_service_pb2
from programs import until

TEXT = b"one two three"
DRAINED = pathlib.Path(__file__).with_name("drained_worker.py")


@pytest.fixture
def service(start_service):
    return start_service()


def types(client, job):
    return [event.type.value for event in client.watch(job, after=job.cursor) if event.revision]


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


def test_sigterm_lets_jobs_end_or_hands_them_back(service, start_worker):
    token = service.token("drained", "worker")
    with service.client() as client:
        patient = start_worker(DRAINED, service.url, token, "patient", "60")
        job = client.submit(TEXT, kind="drained")
        patient.says("begun")
        patient.process.send_signal(signal.SIGTERM)
        assert client.wait(job, PATIENCE, check=True).attempt == 1
        patient.says("ended")
        assert patient.process.wait(PATIENCE) == 0
        hasty = start_worker(DRAINED, service.url, token, "hasty", "0")
        job = client.submit(TEXT, kind="drained")
        hasty.says("begun")
        until("a page", lambda: client.get(job).pages_done == 1)
        hasty.process.send_signal(signal.SIGTERM)
        hasty.says("ended")
        assert hasty.process.wait(PATIENCE) == 0
        waiting = client.get(job)
        assert waiting.state is courant.JobState.QUEUED and waiting.pages_done == 1
        start_worker(DRAINED, service.url, token, "other", "60")
        client.wait(job, PATIENCE, check=True)
        assert client.result_text(job, "txt") == "other [1]"


def test_a_killed_worker_that_comes_back_under_its_id_gets_its_job_again(service, start_worker):
    token = service.token("drained", "worker")
    with service.client() as client:
        first = start_worker(DRAINED, service.url, token, "steady", "0")
        job = client.submit(TEXT, kind="drained")
        first.says("begun")
        until("a page", lambda: client.get(job).pages_done == 1)
        first.stop()
        start_worker(DRAINED, service.url, token, "steady", "60")
        assert client.wait(job, PATIENCE, check=True).attempt == 2


def test_a_handler_that_computes_keeps_its_lease(start_service):
    service = start_service("--lease", "1s")

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


def test_reports_wait_for_a_store_that_is_away(start_service, tmp_path):
    """A report whose artifact cannot be looked for is deferred with all behind it, and taken in order when the store is back."""
    service = start_service("--small-file-bytes", "0")
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
