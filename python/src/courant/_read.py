"""Reading bytes that the server keeps. A read that breaks goes on where it was, and whole contents are checked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from typing import Any, AsyncIterator, Callable, List, Optional, Tuple

import grpc.aio

from ._calls import Tries, messages, token_of
from ._connection import Connection, Path
from ._stubs import job_service
from .errors import Corrupt

#: A stream of bytes that pauses for longer counts as broken.
SILENCE = 60.0
#: The method of the stub, and the request to read from an offset.
Open = Callable[[Any, int, int], Tuple[Any, Any]]


class Read:
    """One read: `limit` bytes (0: all) from `offset`. `resumes`: whether the server can begin in the middle."""

    def __init__(
        self, connection: Connection, timeout: float, opened: Open, offset: int, limit: int, resumes: bool = True
    ) -> None:
        if offset < 0 or limit < 0:
            raise ValueError("offset and limit are not negative")
        self._connection = connection
        self._timeout = timeout
        self._open = opened
        self._offset = offset
        self._limit = limit
        self._resumes = resumes
        self._read = 0
        self._expected = ""

    async def chunks(self) -> AsyncIterator[Optional[bytes]]:
        """The bytes; `None` where they begin again, so that what came before is void. Errors: `Corrupt`."""
        tries = Tries(self._connection, self._timeout)
        digest = hashlib.sha256()
        while True:
            metadata = await self._connection.metadata()
            channel = self._connection.channel()
            try:
                async for chunk in self._once(channel, metadata):
                    tries.succeeded()
                    digest.update(chunk)
                    yield chunk
                break
            except grpc.aio.AioRpcError as status:
                await tries.again(status, channel, token_of(metadata))
                if not self._resumes and self._read:
                    self._read, digest = 0, hashlib.sha256()
                    yield None
        whole = self._offset == 0 and self._limit == 0
        if whole and self._expected and digest.hexdigest() != self._expected:
            raise Corrupt("The bytes that arrived do not match their checksum; read them again.")

    async def _once(self, channel: grpc.aio.Channel, metadata: Any) -> AsyncIterator[bytes]:
        """What one stream brings, from where the last one ended."""
        left = self._limit - self._read if self._limit else 0
        if self._limit and not left:
            return
        method, request = self._open(job_service(channel), self._offset + self._read, left)
        async for message in messages(method(request, metadata=metadata), SILENCE):
            if message.WhichOneof("part") == "header":
                self._check_same(getattr(message.header, "sha256", ""))
            else:
                self._read += len(message.chunk)
                yield message.chunk

    def _check_same(self, sha256: str) -> None:
        """A content that was replaced while it was read is not put together from two."""
        if self._read and self._resumes and sha256 != self._expected:
            raise Corrupt("The content was replaced while it was read; read it again.")
        self._expected = sha256


async def into_memory(read: Read) -> bytes:
    """All of it."""
    parts: List[bytes] = []
    async for chunk in read.chunks():
        if chunk is None:
            parts.clear()
        else:
            parts.append(chunk)
    return b"".join(parts)


async def into_file(read: Read, path: Path) -> None:
    """Into a file that appears under its name once it is whole."""
    target = os.fspath(path)
    partial = f"{target}.{secrets.token_hex(4)}.partial"
    try:
        with open(partial, "wb") as file:
            async for chunk in read.chunks():
                if chunk is None:
                    file.seek(0)
                    file.truncate()
                else:
                    await asyncio.to_thread(file.write, chunk)
        os.replace(partial, target)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
