"""One stream to the server, from its welcome to its end.

There is no acknowledgement of single reports. A heartbeat follows every batch of durable ones; its answer says that everything sent before it
has arrived, or that this takes longer: then the server says so later, by the number of the heartbeat, and heartbeats go on meanwhile. What the
server could not take it defers by attempt, before it acknowledges what is behind: such reports count as never sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Optional

import grpc
import grpc.aio

from ..v1 import worker_service_pb2 as pb
from ._attempt import Stop, key_of

if TYPE_CHECKING:
    from ._core import Core

#: What to assume when the server names no interval.
DEFAULT_INTERVAL = 10.0
#: Small answers that wait; more means that the server floods this worker.
MAX_ANSWERS = 4096
#: The longest that a server may make deferred reports wait.
MAX_DEFERRAL = 120.0

log = logging.getLogger("courant.worker")


class Silent(Exception):
    """Nothing was heard for two heartbeat intervals."""


class Drained(Exception):
    """Everything is settled, and a shutdown was asked for."""


class Session:
    """Carries reports and orders. Owns what belongs to this stream alone; the rest is in `Core`."""

    def __init__(self, core: Core, call: Any, welcome: pb.Welcome) -> None:
        self._core = core
        self._call = call
        self._interval = welcome.heartbeat_interval.ToTimedelta().total_seconds() or DEFAULT_INTERVAL
        self._answers: Deque[pb.WorkRequest] = deque()
        #: Whether the server knows that nothing new is taken.
        self._closed = core.draining
        self._seq = 0
        self._acknowledged = 0
        #: What arrived up to here the server will say, in its answer to a heartbeat or later.
        self._asked: Optional[int] = None
        self._unanswered = False
        self._heartbeat_due = time.monotonic() + self._interval
        self._last_received = time.monotonic()

    async def run(self) -> None:
        """Until the stream ends: returns when the server closed it, raises its status, `Silent` or `Drained`."""
        tasks = [asyncio.ensure_future(part) for part in (self._read(), self._write(), self._listen())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # Reading knows best why a stream has ended.
            for task in tasks:
                if task in done:
                    task.result()
                    return
        finally:
            for task in tasks:
                task.cancel()
            self._call.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        """Looks at the clock by itself: a write that hangs must not keep a dead stream from being noticed."""
        while True:
            left = self._last_received + 2 * self._interval - time.monotonic()
            if left <= 0:
                raise Silent
            await asyncio.sleep(left)

    async def _read(self) -> None:
        while True:
            message = await self._call.read()
            if message is grpc.aio.EOF:
                return
            self._last_received = time.monotonic()
            self._take(message)
            self._core.wake()

    async def _write(self) -> None:
        while True:
            if self._core.gave_up() or (self._core.is_drained and not self._answers):
                raise Drained
            message = self._next()
            if message is None:
                await self._core.woken(self._wake_at() - time.monotonic())
                continue
            try:
                await self._call.write(message)
            except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
                # Why is what reading says.
                await asyncio.sleep(self._interval)

    def _wake_at(self) -> float:
        """When there is something to do without anybody saying so."""
        times = [self._core.deferred_until(), self._core.gives_up_at()]
        if not self._unanswered:
            times.append(self._heartbeat_due)
        return min((time for time in times if time is not None), default=time.monotonic() + self._interval)

    def _next(self) -> Optional[pb.WorkRequest]:
        """That nothing new is taken, once that is so; then answers, then durable reports, then a heartbeat when some of that waits for its
        acknowledgement or it is time for one, at last what is of the moment."""
        core = self._core
        if core.draining and not self._closed:
            # Before anything is handed back: it would come right back here.
            self._closed = True
            core.resend_now()
            return pb.WorkRequest(slots=pb.ChangeSlots(slots=0))
        if self._answers:
            return self._answers.popleft()
        report = core.next_durable(self._seq + 1)
        if report is not None:
            self._seq += 1
            return report
        now = time.monotonic()
        has_news = self._asked is None and self._seq != self._acknowledged
        if not self._unanswered and (has_news or now >= self._heartbeat_due):
            self._asked, self._unanswered = self._seq, True
            self._heartbeat_due = now + self._interval
            # Never 0, which would mean that it has no number.
            return pb.WorkRequest(heartbeat=pb.Heartbeat(number=self._seq + 1))
        return core.next_transient()

    def _take(self, message: pb.WorkResponse) -> None:
        """Does what the server says."""
        step = message.WhichOneof("message")
        if step == "assignment":
            self._assigned(message.assignment)
        elif step == "cancel":
            self._cancel(message.cancel.attempt)
        elif step == "heartbeat_ack":
            self._heartbeat_answered(message.heartbeat_ack)
        elif step == "reports_taken":
            if message.reports_taken.number - 1 <= self._seq:
                self._acknowledge(message.reports_taken.number - 1)
        elif step == "lease_lost":
            self._core.abandon(key_of(message.lease_lost.attempt))
        elif step == "defer_reports":
            deferred = message.defer_reports
            after = min(deferred.retry_after.ToTimedelta().total_seconds(), MAX_DEFERRAL)
            self._core.defer(key_of(deferred.attempt), after, deferred.message)
        elif step == "drain":
            log.info("no new jobs will come (%s); going on with what is in flight", pb.DrainReason.Name(message.drain.reason))
            self._core.status = "draining"
        elif step == "resume":
            log.info("dispatch resumed")
            self._core.status = "serving"

    def _heartbeat_answered(self, ack: pb.HeartbeatAck) -> None:
        self._unanswered = False
        if self._asked is not None and not ack.reports_pending:
            self._acknowledge(self._asked)
        for attempt in ack.cancel:
            self._cancel(attempt)

    def _acknowledge(self, seq: int) -> None:
        self._acknowledged = max(self._acknowledged, seq)
        if self._asked is not None and self._asked <= seq:
            self._asked = None
        self._core.acknowledge(seq)

    def _assigned(self, assignment: pb.Assignment) -> None:
        attempt = assignment.attempt
        if self._core.draining:
            self._answer(pb.WorkRequest(released=pb.ReportReleased(attempt=attempt)))
        elif self._answer(pb.WorkRequest(accepted=pb.Accepted(attempt=attempt))):
            self._core.start(assignment)

    def _cancel(self, attempt: pb.AttemptRef) -> None:
        if not self._core.stop_attempt(key_of(attempt), Stop.CANCELLED):
            # Not here (any more): saying so ends the waiting.
            self._answer(pb.WorkRequest(cancelled=pb.ReportCancelled(attempt=attempt)))

    def _answer(self, message: pb.WorkRequest) -> bool:
        fits = len(self._answers) < MAX_ANSWERS
        if fits:
            self._answers.append(message)
        else:
            log.warning("too many commands at once; one is not answered")
        return fits
