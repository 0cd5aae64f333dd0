"""Following jobs over cuts and restarts: nothing is lost, nothing comes twice, and gaps are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, Optional

import grpc
import grpc.aio

from ._calls import Tries, messages, token_of
from ._connection import Connection, Metadata
from .enums import JobState
from .events import Event, EventType, event_of, gap_of
from .jobs import Job

#: The server says something at least every 25 s.
SILENCE = 75.0

#: Opens the stream after a cursor.
Open = Callable[[grpc.aio.Channel, Metadata, str], Any]
#: Whether the watch is over, where its stream has ended and its last message does not say so.
IsOver = Callable[[], Awaitable[bool]]


class Progress:
    """What was seen so far, so that a new stream goes on behind it."""

    def __init__(self, after: str, one_job: bool) -> None:
        self.cursor = after
        #: A snapshot of one job is complete. One of many is only with `live`: until then a new stream begins again.
        self._one_job = one_job
        self._complete = bool(after)
        self._live = False
        #: Durable events up to here were seen.
        self._floor = 0
        #: The same of each job, while snapshots come.
        self._seen: Dict[str, int] = {}
        self._state: Optional[JobState] = None
        self._deleted = False

    @property
    def ended(self) -> bool:
        """Whether the newest message says that the job has ended, or is gone."""
        return self._deleted or (self._state is not None and self._state.ended)

    def take(self, message: Any) -> Optional[Event]:
        """What the caller is told of a message, if anything."""
        step = message.WhichOneof("step")
        if step == "gap":
            return self._gap(message)
        if step == "live":
            return self._went_live(message)
        if step == "snapshot":
            return self._snapshot(message)
        if step == "event":
            return self._event(message)
        self._advance(message.cursor)
        return None

    def _advance(self, cursor: str) -> None:
        if cursor and self._complete:
            self.cursor = cursor

    def _gap(self, message: Any) -> Event:
        self.cursor, self._complete, self._live = "", False, False
        # The log may be another one, whose revisions are smaller.
        self._floor, self._seen = 0, {}
        return gap_of(message.gap)

    def _went_live(self, message: Any) -> Optional[Event]:
        self._complete = True
        self._advance(message.cursor)
        self._floor = max(self._floor, message.live.revision)
        self._seen = {}
        first, self._live = not self._live, True
        return Event(EventType.LIVE, None, self.cursor) if first else None

    def _snapshot(self, message: Any) -> Optional[Event]:
        job = Job(message.snapshot.job)
        if self._one_job:
            self._complete = True
        self._advance(message.cursor)
        if self._is_old(job.id, job.revision):
            return None
        self._note(job, job.revision)
        return Event(EventType.SNAPSHOT, job, self.cursor, job.revision)

    def _event(self, message: Any) -> Optional[Event]:
        event = event_of(message.event, "")
        self._advance(message.cursor)
        if event.revision:
            assert event.job is not None
            if self._is_old(event.job.id, event.revision):
                return None
            self._note(event.job, event.revision)
            self._deleted = event.type is EventType.DELETED
        return replace(event, cursor=self.cursor)

    def _is_old(self, job_id: str, revision: int) -> bool:
        return revision <= max(self._floor, self._seen.get(job_id, 0))

    def _note(self, job: Job, revision: int) -> None:
        self._state = job.state
        if self._one_job or self._complete:
            self._floor = revision
        else:
            self._seen[job.id] = revision


async def follow(
    connection: Connection, patience: float, after: str, open_stream: Open, is_over: Optional[IsOver] = None
) -> AsyncIterator[Event]:
    """Events until the watch is over. `is_over`: of one job. Raises once the server was away for `patience` seconds."""
    progress = Progress(after, is_over is not None)
    tries = Tries(connection, patience)
    while True:
        metadata = await connection.metadata()
        channel = connection.channel()
        try:
            async for message in messages(open_stream(channel, metadata, progress.cursor), SILENCE):
                tries.succeeded()
                event = progress.take(message)
                if event is not None:
                    yield event
            if is_over is not None and (progress.ended or await is_over()):
                return
            # The server ended it, for example because it stops.
            await tries.again(closed(), channel, token_of(metadata))
        except grpc.aio.AioRpcError as status:
            await tries.again(status, channel, token_of(metadata))


def closed() -> grpc.aio.AioRpcError:
    """The status of a stream that ended before what it was opened for."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details="the server closed the stream")
