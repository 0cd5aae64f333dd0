"""Watches of the Python package over servers that are killed and logs that are replaced."""

import asyncio
import queue
import threading

import courant
import pytest
from conftest import PATIENCE
from programs import until

PAGES = 6
TEXT = b"some words"


class Gate:
    """A handler whose pages the test lets through one by one."""

    def __init__(self):
        self.pages = queue.Queue()

        @courant.worker("gated")
        def gated(task):
            task.plan(PAGES)
            for number in range(1, PAGES + 1):
                task.progress(number, f"page {number}")
                self.pages.get(timeout=PATIENCE)
                task.page(number, number)

        self.handler = gated

    def let(self, pages=1):
        for _ in range(pages):
            self.pages.put(None)


@pytest.fixture
def service(start_service):
    return start_service()


class Following:
    """Collects what a watch says, on a thread of its own."""

    def __init__(self, watch):
        self.events = []
        self.failed = None
        self._watch = watch
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        try:
            for event in self._watch:
                self.events.append(event)
        except Exception as error:
            self.failed = error

    def has(self, kind, times=1):
        return until(f"{times} times {kind}", lambda: [event.type for event in self.events].count(kind) >= times)

    def all(self):
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive() and self.failed is None, self.failed
        return self.events


def durable(events):
    return [(event.revision, event.type) for event in events if event.revision and event.type is not courant.EventType.SNAPSHOT]


def test_nothing_is_lost_and_nothing_twice_over_killed_servers(service):
    gate = Gate()
    with service.working(gate.handler), service.client() as client:
        job = client.submit(TEXT, kind="gated")
        following = Following(client.watch(job, after=job.cursor))
        from_snapshot = Following(client.watch(job))
        for page in range(1, PAGES, 2):
            gate.let()
            following.has(courant.EventType.PAGE_FINISHED, page)
            service.kill()
            gate.let()  # Done while no server is there.
            service.start()
            following.has(courant.EventType.PAGE_FINISHED, page + 1)
        events = following.all()
        revisions = [revision for revision, _ in durable(events)]
        assert revisions == sorted(set(revisions))
        assert [event.page.number for event in events if event.type is courant.EventType.PAGE_FINISHED] == list(range(1, PAGES + 1))
        assert durable(events) == durable(client.watch(job, after=job.cursor))
        assert events[-1].type is courant.EventType.SUCCEEDED and events[-1].job.attempt == 1
        assert [event.type for event in events].count(courant.EventType.LIVE) == 1
        seen = from_snapshot.all()
        assert seen[0].type is courant.EventType.SNAPSHOT and [event.type for event in seen].count(courant.EventType.SNAPSHOT) == 1
        assert durable(seen) == [event for event in durable(events) if event[0] > seen[0].revision]


def test_a_watch_goes_on_in_another_process_by_its_cursor(service):
    gate = Gate()
    with service.working(gate.handler), service.client() as client:
        job = client.submit(TEXT, kind="gated")
        gate.let(3)
        first = []
        with client.watch(job, after=job.cursor) as watch:
            for event in watch:
                first.append(event)
                if event.type is courant.EventType.PAGE_FINISHED and event.page.number == 2:
                    break
        gate.let(3)
        with service.client() as another:
            rest = list(another.watch(job.id, after=first[-1].cursor))
        assert durable(first) + durable(rest) == durable(client.watch(job, after=job.cursor))
        after_the_end = client.watch(job, after=rest[-1].cursor)
        assert [event.type for event in after_the_end] == [courant.EventType.LIVE], "what has ended says nothing more"


def test_all_jobs_of_a_user_over_killed_servers(service):
    gate = Gate()
    with service.working(gate.handler, slots=3), service.client() as client, service.client("bob") as bob:
        before = client.submit(TEXT, kind="gated")
        bob.submit(TEXT, kind="gated")
        following = Following(client.watch_all())
        following.has(courant.EventType.LIVE)
        assert [event.job.id for event in following.events if event.type is courant.EventType.SNAPSHOT] == [before.id]
        service.restart()
        during = client.submit(TEXT, kind="gated", batch_id="b")
        following.has(courant.EventType.QUEUED)
        service.restart()
        gate.let(3 * PAGES)
        following.has(courant.EventType.SUCCEEDED, 2)
        events = following.events
        revisions = [revision for revision, _ in durable(events)]
        assert revisions == sorted(set(revisions)) and {event.job.id for event in events if event.job} == {before.id, during.id}
        assert durable(event for event in events if event.job and event.job.id == during.id) == durable(
            client.watch(during, after=during.cursor)
        )
        batch = Following(client.watch_all(batch_id="b"))
        batch.has(courant.EventType.LIVE)
        assert [event.job.id for event in batch.events if event.job] == [during.id]


def test_with_asyncio_many_watches_survive_a_killed_server(service):
    gate = Gate()

    async def story():
        async with courant.AsyncClient(service.url, token=service.token("alice")) as client:
            jobs = [await client.submit(TEXT, kind="gated") for _ in range(8)]

            async def follow(job):
                return [event async for event in client.watch(job, after=job.cursor)]

            following = [asyncio.ensure_future(follow(job)) for job in jobs]
            gate.let(10)
            await asyncio.to_thread(until, "ten pages", lambda: gate.pages.empty())
            await asyncio.to_thread(service.restart)
            gate.let(len(jobs) * PAGES)
            for job, events in zip(jobs, await asyncio.gather(*following)):
                assert durable(events) == durable(await follow(job))
                assert events[-1].type is courant.EventType.SUCCEEDED

    with service.working(gate.handler, slots=8):
        asyncio.run(story())


def test_a_replaced_log_is_a_gap(service):
    gate = Gate()
    gate.let(3 * PAGES)
    with service.client() as client:
        with service.working(gate.handler):
            client.wait(client.submit(TEXT, kind="gated"), PATIENCE)
        following = Following(client.watch_all())
        following.has(courant.EventType.LIVE)
        service.kill()
        service.forget()
        service.start()
        following.has(courant.EventType.GAP)
        following.has(courant.EventType.LIVE, 2)
        new = client.submit(TEXT, kind="gated")
        following.has(courant.EventType.QUEUED)
        gap = next(event for event in following.events if event.type is courant.EventType.GAP)
        assert gap.gap is courant.GapReason.LOG_REPLACED and gap.job is None
        assert following.events[-1].job.id == new.id, "revisions of the new log are smaller, and count"


def test_a_removed_job_ends_its_watch_and_a_server_that_stays_away_too(service):
    with service.client(patience=1.0) as client:
        job = client.submit(TEXT, kind="gated")
        following = Following(client.watch(job))
        following.has(courant.EventType.LIVE)
        service.kill()
        until("the watch to give up", lambda: following.failed)
        assert isinstance(following.failed, courant.Unavailable)
        service.start()
        ended = client.cancel(job)
        all_jobs = Following(client.watch_all())
        all_jobs.has(courant.EventType.LIVE)
        client.delete(ended)
        all_jobs.has(courant.EventType.DELETED)
        with pytest.raises(courant.NotFound):
            list(client.watch(job))
