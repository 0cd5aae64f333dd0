"""One attempt as the handler, the stream and the shutdown see it. Lives until the server knows how it ended."""

from __future__ import annotations

import asyncio
import threading
import time
from enum import Enum
from typing import Callable, Dict, List, Optional, Tuple

from .._backoff import Backoff
from ..v1 import job_pb2
from ..v1 import worker_service_pb2 as pb
from ._outbox import Outbox
from .errors import Stopped, TaskError

#: Job, number of the attempt, part of it.
Key = Tuple[str, int, str]
#: Warnings beyond this many are not sent.
MAX_WARNINGS = 100


class Stop(Enum):
    """Why an attempt was told to stop."""

    #: Somebody cancelled the job.
    CANCELLED = "cancelled"
    #: The job belongs to someone else now; nothing more is reported.
    LOST = "lost"
    #: This worker goes away.
    RELEASED = "released"
    #: It took longer than a job may.
    TIMED_OUT = "timed out"


class Attempt:
    """Made and changed on the worker's loop; `stop_reason`, `interrupted` and `post_latest` also serve the handler's thread."""

    def __init__(self, ref: pb.AttemptRef, wake: Callable[[], None]) -> None:
        self.ref = ref
        #: Without the credential: calls need that, reports do not.
        self.name = pb.AttemptRef(job_id=ref.job_id, attempt=ref.attempt, part=ref.part)
        self.key = key_of(ref)
        self.outbox = Outbox()
        self.warnings: List[str] = []
        self.stop_reason: Optional[Stop] = None
        #: Set once the attempt must stop: for the worker's loop, and for the handler's thread.
        self.stopped = asyncio.Event()
        self.interrupted = threading.Event()
        self._changed = asyncio.Event()
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._posting = threading.Lock()
        self._posted: Dict[str, pb.WorkRequest] = {}
        self._resends = Backoff(0.5, 30.0)

    def stop(self, why: Stop) -> None:
        """The first reason stays, but a lost job overrules: nothing may be reported for it any more."""
        if self.stop_reason is None or why is Stop.LOST:
            self.stop_reason = why
        self.stopped.set()
        self.interrupted.set()
        self._changed.set()

    def check(self) -> None:
        """Raises once the attempt must stop."""
        if self.interrupted.is_set():
            raise Stopped(f"the attempt must stop: {self.stop_reason.value if self.stop_reason else ''}")

    async def report(self, message: pb.WorkRequest) -> None:
        """Queues a durable report; waits while too many are not acknowledged. Errors: `Stopped`."""
        while True:
            self.check()
            if self.outbox.has_capacity():
                self.outbox.push(message)
                self._wake()
                return
            self._changed.clear()
            await self._changed.wait()

    def post_latest(self, slot: str, message: pb.WorkRequest) -> None:
        """Replaces a report of the moment. From any thread, as often as it likes: the loop is woken once for all that it has not taken."""
        with self._posting:
            is_first = not self._posted
            self._posted[slot] = message
        if is_first:
            self._loop.call_soon_threadsafe(self._take_posted)

    def _take_posted(self) -> None:
        with self._posting:
            posted, self._posted = self._posted, {}
        for slot, message in posted.items():
            self.outbox.set(slot, message)
        self._wake()

    def acknowledge(self, seq: int) -> None:
        if self.outbox.acknowledge(seq):
            self._resends.reset()
            self._changed.set()

    def defer(self, after: float, at_most: float) -> None:
        """What was not taken goes out again after that time and, each time in a row, some more."""
        self.outbox.defer(time.monotonic() + min(after + self._resends.pause(), at_most))

    def end(self, error: Optional[TaskError], longest: float) -> None:
        """The handler has returned: queues the last report."""
        self.outbox.end(self._last(error, longest))
        self._wake()

    def _last(self, error: Optional[TaskError], longest: float) -> pb.WorkRequest:
        if self.stop_reason is Stop.CANCELLED:
            return pb.WorkRequest(cancelled=pb.ReportCancelled(attempt=self.name))
        if error is None:
            warnings = self.warnings[:MAX_WARNINGS]
            return pb.WorkRequest(succeeded=pb.ReportSucceeded(attempt=self.name, warnings=warnings))
        if self.stop_reason is Stop.RELEASED:
            return pb.WorkRequest(released=pb.ReportReleased(attempt=self.name))
        why = job_error(error)
        if self.stop_reason is Stop.TIMED_OUT:
            message = f"Stopped after {longest:g} seconds: this worker lets no job take longer. Submit less at once."
            why = job_pb2.JobError(code="JOB_TIMED_OUT", message=message, retryable=False)
        return pb.WorkRequest(failed=pb.ReportFailed(attempt=self.name, error=why))


def key_of(ref: pb.AttemptRef) -> Key:
    return ref.job_id, ref.attempt, ref.part


def job_error(error: TaskError) -> job_pb2.JobError:
    return job_pb2.JobError(code=error.code, message=error.message, retryable=error.retryable)
