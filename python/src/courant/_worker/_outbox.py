"""The reports of one attempt that the server may not have yet.

Durable ones wait in order until they are acknowledged, and are sent again on every new stream. Of those of the moment the newest counts, and
a stream that is down forgets them. Holds `CAPACITY` reports at most, but for the one that ends the attempt.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Deque, Dict, List, Optional

from ..v1 import worker_service_pb2 as pb

#: Reports of one attempt that wait before the handler is held up.
CAPACITY = 64
#: Bytes of those, since artifacts may be in them.
MAX_BYTES = 4 << 20


class Waiting:
    """A durable report, and where on the current stream it went out."""

    __slots__ = ("bytes", "message", "sent")

    def __init__(self, message: pb.WorkRequest) -> None:
        self.message = message
        self.bytes = message.ByteSize()
        self.sent: Optional[int] = None


class Outbox:
    """Written by the attempt, read and acknowledged by the stream; on one thread."""

    def __init__(self) -> None:
        self._waiting: List[Waiting] = []
        self._bytes = 0
        #: How many of `_waiting`, from the front, went out on the current stream.
        self._sent = 0
        self._latest: Dict[str, pb.WorkRequest] = {}
        self.ended = False
        #: The server did not take a report: nothing goes out before this time, and then `ResumeReports` first.
        self.deferred_until: Optional[float] = None

    def has_capacity(self) -> bool:
        return len(self._waiting) < CAPACITY and self._bytes < MAX_BYTES

    def push(self, message: pb.WorkRequest) -> None:
        """A durable report, for which there is room."""
        if not self.ended:
            self._wait(message)

    def end(self, message: pb.WorkRequest) -> None:
        """The report that ends the attempt. Nothing is taken afterwards."""
        if not self.ended:
            self.ended = True
            self._latest.clear()
            self._wait(message)

    def _wait(self, message: pb.WorkRequest) -> None:
        waiting = Waiting(message)
        self._waiting.append(waiting)
        self._bytes += waiting.bytes

    def set(self, slot: str, message: pb.WorkRequest) -> None:
        """A report of the moment, in place of the one before."""
        if not self.ended:
            self._latest[slot] = message

    def next_durable(self, seq: int, attempt: pb.AttemptRef) -> Optional[pb.WorkRequest]:
        """The next to send, as number `seq` of the stream."""
        if self.deferred_until is not None:
            if self.deferred_until > time.monotonic():
                return None
            self.deferred_until = None
            return pb.WorkRequest(resume_reports=pb.ResumeReports(attempt=attempt))
        if self._sent == len(self._waiting):
            return None
        waiting = self._waiting[self._sent]
        waiting.sent = seq
        self._sent += 1
        return waiting.message

    def next_transient(self) -> Optional[pb.WorkRequest]:
        """Asked for only when nothing durable is left: it speaks of what comes after that."""
        if self.deferred_until is not None or not self._latest:
            return None
        return self._latest.pop(next(iter(self._latest)))

    def acknowledge(self, seq: int) -> bool:
        """Everything sent up to `seq` has arrived. Whether that made room."""
        arrived = 0
        for waiting in self._waiting[: self._sent]:
            if waiting.sent is None or waiting.sent > seq:
                break
            self._bytes -= waiting.bytes
            arrived += 1
        del self._waiting[:arrived]
        self._sent -= arrived
        return arrived > 0

    def rewind(self) -> None:
        """A new stream: what was not acknowledged goes out again."""
        self.deferred_until = None
        self._sent = 0
        for waiting in self._waiting:
            waiting.sent = None

    def defer(self, until: float) -> None:
        """The server did not take some: what was not acknowledged goes out again from then on."""
        self.rewind()
        self.deferred_until = until

    def resend_now(self) -> None:
        """What is deferred goes out at once."""
        if self.deferred_until is not None:
            self.deferred_until = 0.0

    def forget_transient(self) -> None:
        self._latest.clear()

    @property
    def is_acknowledged(self) -> bool:
        """Whether the attempt has ended and the server knows all about it."""
        return self.ended and not self._waiting


#: Which report of which attempt went out as which number of the stream.
Sent = Deque["tuple[int, tuple[str, int, str]]"]


def sent_queue() -> Sent:
    return deque()
