"""Calls that are tried again, within a time, when the server is away or asks to come back later."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, AsyncIterator, Awaitable, Callable, Optional, TypeVar

import grpc
import grpc.aio

from ._backoff import Backoff
from ._connection import Connection, Metadata
from ._status import error_of, is_passing
from ._within import within
from .errors import CourantError, Unauthenticated

T = TypeVar("T")
#: Makes one try: with this channel and metadata, and so many seconds left.
Attempt = Callable[[grpc.aio.Channel, Metadata, float], Awaitable[T]]
log = logging.getLogger("courant")


class Tries:
    """Decides after each failure whether there is another try, and waits for it."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._backoff = Backoff()
        self._refused_token: Optional[str] = None
        #: How many tries have failed.
        self.failed = 0

    def left(self) -> float:
        """Seconds until the last try must have ended."""
        return max(0.001, self._deadline - time.monotonic())

    def succeeded(self) -> None:
        """The server has answered: the time begins again, for calls that last."""
        self._deadline = time.monotonic() + self._timeout
        self._backoff.reset()
        self._refused_token = None

    async def again(self, status: grpc.aio.AioRpcError, channel: grpc.aio.Channel, token: str) -> None:
        """Waits for the next try; raises where there is none."""
        error = error_of(status)
        self.failed += 1
        if isinstance(error, Unauthenticated):
            await self._with_another_token(error, token)
            return
        if not is_passing(status, error):
            raise error from None
        self._connection.failed(channel)
        wait = max(self._backoff.pause(), error.retry_after or 0.0)
        if time.monotonic() + wait >= self._deadline:
            raise error from None
        log.debug("%s does not answer (%s); trying again in %.1f s", self._connection.address, error, wait)
        await asyncio.sleep(wait)

    async def _with_another_token(self, error: CourantError, token: str) -> None:
        """A token that has run out is replaced once, if its source has another."""
        if self._refused_token is not None or await self._connection.token.get() == token:
            raise error from None
        self._refused_token = token


def token_of(metadata: Metadata) -> str:
    return metadata[0][1].partition(" ")[2]


async def call(connection: Connection, timeout: float, attempt: Attempt[T], tries: Optional[Tries] = None) -> T:
    """Makes a call until it is answered, refused, or the time is over."""
    tries = tries or Tries(connection, timeout)
    while True:
        metadata = await connection.metadata()
        channel = connection.channel()
        try:
            return await attempt(channel, metadata, tries.left())
        except grpc.aio.AioRpcError as status:
            await tries.again(status, channel, token_of(metadata))


async def messages(stream: Any, silence: float) -> AsyncIterator[Any]:
    """The messages of a stream. One that is silent for too long counts as broken."""
    try:
        while True:
            try:
                message = await within(silence, stream.read())
            except asyncio.TimeoutError:
                raise silent(silence) from None
            if message is grpc.aio.EOF:
                return
            yield message
    finally:
        stream.cancel()


def silent(seconds: float) -> grpc.aio.AioRpcError:
    """The status of a stream on which nothing came."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, nothing, nothing, details=f"nothing came from the server for {seconds:.0f} s"
    )
