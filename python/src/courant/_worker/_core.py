"""The worker over all streams: which attempts are here, connecting, reconnecting, shutting down. All of it on one loop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import grpc
import grpc.aio

from .._backoff import Backoff
from .._connection import Connection, Metadata
from .._status import error_of
from .._stubs import worker_service
from .._within import within
from ..v1 import worker_service_pb2 as pb
from ._attempt import Attempt, Key, Stop, key_of
from ._outbox import sent_queue
from ._session import Drained, Session, Silent
from ._settings import Settings
from .errors import WorkerRefused

#: How long the server may take for its welcome.
WELCOME_TIMEOUT = 10.0
#: A stream that lasted so long worked: the waits between tries begin again.
STABLE_AFTER = 10.0
#: The longest wait before the next try while shutting down.
DRAINING_WAIT = 0.5

Code = grpc.StatusCode
# Aborted: another process with this worker's id took over. Coming back would only throw that one out.
FATAL = (Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.ABORTED)

log = logging.getLogger("courant.worker")


class NotPrepared(Exception):
    """There is no token, or a file of TLS cannot be read."""


class Core:
    """`begin` starts an assignment: it makes the attempt and runs its handler."""

    def __init__(
        self, settings: Settings, kinds: Sequence[str], connection: Connection, begin: Callable[[Core, pb.Assignment], Attempt]
    ) -> None:
        self.settings = settings
        self.connection = connection
        self.limits = pb.Welcome()
        self.draining = False
        #: When tasks that still run are stopped and handed back.
        self.released = asyncio.Event()
        #: `connecting`, `serving`, `draining` (by an operator or a server that stops) or `stopping`.
        self.status = "connecting"
        self._kinds = list(kinds)
        self._begin = begin
        self._attempts: Dict[Key, Attempt] = {}
        self._sent = sent_queue()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended_since: Optional[float] = None
        self._process = secrets.randbits(63) or 1
        self._streams = 0
        # The loop itself keeps no task alive.
        self._running: Set[asyncio.Future[None]] = set()

    async def serve(self) -> None:
        """One stream after the other until everything is drained. Errors: `WorkerRefused`."""
        backoff = Backoff(0.2, 5.0)
        welcomed = False
        while not (self.is_drained or self.gave_up()):
            begun = time.monotonic()
            channel: Optional[grpc.aio.Channel] = None
            try:
                channel, metadata = await self._prepared()
                session = await self._open(worker_service(channel).Work(metadata=metadata))
                welcomed, begun = True, time.monotonic()
                await session.run()
                log.warning("the server closed the stream; connecting again")
            except Drained:
                return
            except Silent:
                log.warning("no message from the server; connecting again")
            except NotPrepared as error:
                log.warning("cannot connect: %s", error)
            except grpc.aio.AioRpcError as status:
                if status.code() in FATAL or (status.code() is Code.UNAUTHENTICATED and not welcomed):
                    await self._stop_all()
                    raise WorkerRefused(f"The server refuses this worker: {error_of(status)}") from None
                log.warning("no stream to %s (%s); connecting again", self.connection.address, error_of(status))
            await self._between_streams(backoff, channel, begun)

    async def _stop_all(self) -> None:
        """Nothing that is under way is this worker's any more."""
        for key in list(self._attempts):
            self.abandon(key)
        if self._running:
            await asyncio.wait(self._running, timeout=self.settings.stop_timeout)

    async def _prepared(self) -> Tuple[grpc.aio.Channel, Metadata]:
        """What a stream needs. A token or a file that is missing for a moment is no reason to give up."""
        try:
            return self.connection.channel(), await self.connection.metadata()
        except Exception as error:
            raise NotPrepared(f"{type(error).__name__}: {error}") from error

    async def _between_streams(self, backoff: Backoff, channel: Optional[grpc.aio.Channel], begun: float) -> None:
        if not self.draining:
            self.status = "connecting"
        for attempt in self._attempts.values():
            attempt.outbox.forget_transient()
        if channel is not None:
            self.connection.failed(channel)
        if time.monotonic() - begun >= STABLE_AFTER:
            backoff.reset()
        wait = backoff.pause()
        try:
            # A shutdown does not wait for it.
            await within(min(wait, DRAINING_WAIT) if self.draining else wait, self._hurry.wait())
        except asyncio.TimeoutError:
            pass
        self._hurry.clear()

    async def _open(self, call: Any) -> Session:
        """Says hello and takes the welcome."""
        try:
            await call.write(pb.WorkRequest(hello=self._hello()))
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            pass  # Why is what reading says.
        try:
            message = await within(WELCOME_TIMEOUT, call.read())
        except asyncio.TimeoutError:
            call.cancel()
            raise Silent from None
        if message is grpc.aio.EOF or message.WhichOneof("message") != "welcome":
            call.cancel()
            raise Silent
        self._welcomed(message.welcome)
        return Session(self, call, message.welcome)

    def _hello(self) -> pb.Hello:
        self._streams += 1
        settings = self.settings
        return pb.Hello(
            worker_id=settings.worker_id,
            kinds=self._kinds,
            # While draining it keeps what it has and takes nothing new.
            slots=0 if self.draining else settings.slots,
            in_flight=[attempt.ref for attempt in self._attempts.values()],
            software=settings.software,
            resends_reports=True,
            process=self._process,
            stream=self._streams,
        )

    def _welcomed(self, welcome: pb.Welcome) -> None:
        """A new stream: goes on with what is still ours, stops the rest, sends again what may not have arrived."""
        self.limits = welcome
        ours = {key_of(ref) for ref in welcome.in_flight}
        for key in [key for key in self._attempts if key not in ours]:
            self.abandon(key)
        self._sent.clear()
        for attempt in self._attempts.values():
            attempt.outbox.rewind()
        if not self.draining:
            self.status = "serving"
        log.info("connected to %s with %d jobs in flight", self.connection.address, len(self._attempts))

    def start(self, assignment: pb.Assignment) -> None:
        """Starts an attempt. One that is here already goes on."""
        key = key_of(assignment.attempt)
        if key not in self._attempts:
            log.info("job %s taken, attempt %d, kind %s", key[0], key[1], assignment.kind)
            self._attempts[key] = self._begin(self, assignment)

    def keep(self, running: asyncio.Future[None]) -> None:
        """Keeps what follows a handler until that has ended."""
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def stop_attempt(self, key: Key, why: Stop) -> bool:
        """Stops an attempt. False when it is not here."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.stop(why)
        return attempt is not None

    def abandon(self, key: Key) -> None:
        """The attempt is not ours any more."""
        attempt = self._attempts.pop(key, None)
        if attempt is not None:
            log.info("lease lost: job %s belongs to another worker", key[0])
            attempt.stop(Stop.LOST)

    def defer(self, key: Key, after: float, why: str) -> None:
        """The server did not take reports of an attempt, which go out again later."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            log.warning("reports of job %s have to wait %.1f s: %s", key[0], after, why)
            attempt.defer(after, DRAINING_WAIT if self.draining else float("inf"))

    def deferred_until(self) -> Optional[float]:
        """When the first of what is deferred goes out."""
        times = (attempt.outbox.deferred_until for attempt in self._attempts.values())
        return min((time for time in times if time is not None), default=None)

    def resend_now(self) -> None:
        for attempt in self._attempts.values():
            attempt.outbox.resend_now()

    def acknowledge(self, seq: int) -> None:
        """Everything sent up to `seq` has arrived."""
        keys = set()
        while self._sent and self._sent[0][0] <= seq:
            keys.add(self._sent.popleft()[1])
        for key in keys:
            attempt = self._attempts.get(key)
            if attempt is not None:
                attempt.acknowledge(seq)
                if attempt.outbox.is_acknowledged:
                    del self._attempts[key]

    def next_durable(self, seq: int) -> Optional[pb.WorkRequest]:
        """The next durable report, of one attempt after the other, as number `seq` of the stream."""
        for key, attempt in self._in_turn():
            message = attempt.outbox.next_durable(seq, attempt.name)
            if message is not None:
                self._sent.append((seq, key))
                self._to_the_end(key)
                return message
        return None

    def next_transient(self) -> Optional[pb.WorkRequest]:
        for key, attempt in self._in_turn():
            message = attempt.outbox.next_transient()
            if message is not None:
                self._to_the_end(key)
                return message
        return None

    def _in_turn(self) -> List[Tuple[Key, Attempt]]:
        return list(self._attempts.items())

    def _to_the_end(self, key: Key) -> None:
        self._attempts[key] = self._attempts.pop(key)

    def drain(self) -> None:
        """Takes nothing new from now on; tasks go on for the grace period."""
        if not self.draining:
            log.info("shutting down: no new jobs; what is under way has %g s", self.settings.grace)
            self.draining, self.status = True, "stopping"
            self._hurry.set()
            self.wake()
            asyncio.get_running_loop().call_later(self.settings.grace, self.released.set)

    @property
    def is_drained(self) -> bool:
        """Whether a shutdown was asked for and nothing is left to do or say."""
        return self.draining and not self._attempts

    def gave_up(self) -> bool:
        """Whether, at a shutdown, the last reports have waited long enough for a server that does not come back."""
        if not self.draining or not all(attempt.outbox.ended for attempt in self._attempts.values()):
            return False
        if self._ended_since is None:
            self._ended_since = time.monotonic()
        over = time.monotonic() - self._ended_since >= self.settings.stop_timeout
        if over and self._attempts:
            log.warning("the last reports did not reach the server; it will notice when the leases end")
        return over

    def gives_up_at(self) -> Optional[float]:
        return None if self._ended_since is None else self._ended_since + self.settings.stop_timeout

    def wake(self) -> None:
        self._wake.set()

    async def woken(self, timeout: float) -> None:
        """Waits until there may be something to send."""
        try:
            await within(timeout, self._wake.wait())
        except asyncio.TimeoutError:
            pass
        self._wake.clear()
