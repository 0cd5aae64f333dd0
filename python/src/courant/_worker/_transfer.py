"""Reading and writing beside the stream: the document in, artifacts out and in. Tried again while the server is away, unless the attempt is
stopped. Bytes are checked before they are believed."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any, AsyncIterator, Awaitable, Callable, List, Optional, TypeVar, Union

import grpc
import grpc.aio

from .._calls import Tries, messages, token_of
from .._connection import Connection
from .._status import error_of
from .._stubs import worker_service
from ..errors import Corrupt
from ..v1 import worker_service_pb2 as pb
from ._attempt import Attempt, Stop
from .errors import Stopped

T = TypeVar("T")
#: What an artifact is made of: bytes, text, or a path of a file, which must not change meanwhile.
Data = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]"]

CHUNK = 256 * 1024
#: A stream of bytes that pauses for longer counts as broken.
SILENCE = 60.0
#: How often bytes that do not match their checksum are read or written again.
CORRUPT_TRIES = 3


class Transfer:
    """The calls of one attempt; on the worker's loop."""

    def __init__(self, connection: Connection, attempt: Attempt, patience: float, traceparent: str) -> None:
        self._connection = connection
        self._attempt = attempt
        self._patience = patience
        self._trace = [("traceparent", traceparent)] if traceparent else []

    async def read_document(self, assignment: pb.Assignment, path: Optional[str]) -> bytes:
        """The document, or its bytes into a file. Errors: `Stopped`, `Corrupt`, `Unavailable`."""

        async def read(stub: Any, metadata: Any) -> bytes:
            request = pb.ReadDocumentRequest(attempt=self._attempt.ref)
            chunks = messages(stub.ReadDocument(request, metadata=metadata), SILENCE)
            content, sha256 = await _collect(chunks, path)
            if sha256 != assignment.document_sha256:
                raise Corrupt("The document that arrived does not match its checksum.")
            return content

        return await self._with_retries(read)

    async def read_password(self) -> str:
        async def read(stub: Any, metadata: Any) -> str:
            response = await stub.ReadPassword(pb.ReadPasswordRequest(attempt=self._attempt.ref), metadata=metadata)
            text: str = response.password.text
            return text

        return await self._with_retries(read)

    async def read_artifact(self, written_by: int, name: str) -> bytes:
        async def read(stub: Any, metadata: Any) -> bytes:
            request = pb.ReadArtifactRequest(attempt=self._attempt.ref, written_by=written_by, name=name)
            content, _ = await _collect(messages(stub.ReadArtifact(request, metadata=metadata), SILENCE), None)
            return content

        return await self._with_retries(read)

    async def write_artifact(self, name: str, data: Data) -> None:
        """Stores an artifact, durable when this returns. Errors: `LimitReached` (too large), `InvalidRequest` (name)."""

        async def write(stub: Any, metadata: Any) -> None:
            sha256 = hashlib.sha256()

            async def parts() -> AsyncIterator[pb.WriteArtifactRequest]:
                yield pb.WriteArtifactRequest(header=pb.WriteArtifactHeader(attempt=self._attempt.ref, name=name))
                async for chunk in chunks_of(data):
                    sha256.update(chunk)
                    yield pb.WriteArtifactRequest(chunk=chunk)

            stored = await stub.WriteArtifact(parts(), metadata=metadata)
            if stored.sha256 != sha256.hexdigest():
                raise Corrupt(f"The artifact {name} that was stored does not match what was sent.")

        await self._with_retries(write)

    async def _with_retries(self, attempt: Callable[[Any, Any], Awaitable[T]]) -> T:
        return await unless_stopped(self._attempt, self._until_answered(attempt))

    async def _until_answered(self, once: Callable[[Any, Any], Awaitable[T]]) -> T:
        tries = Tries(self._connection, self._patience)
        corrupt = 0
        while True:
            metadata = await self._connection.metadata(*self._trace)
            channel = self._connection.channel()
            try:
                return await once(worker_service(channel), metadata)
            except Corrupt:
                corrupt += 1
                if corrupt == CORRUPT_TRIES:
                    raise
            except grpc.aio.AioRpcError as status:
                if status.code() is grpc.StatusCode.ABORTED:
                    self._attempt.stop(Stop.LOST)
                    raise Stopped(str(error_of(status))) from None
                await tries.again(status, channel, token_of(metadata))


async def unless_stopped(attempt: Attempt, work: Awaitable[T]) -> T:
    """The result of some work, or `Stopped` as soon as the attempt must stop."""
    doing = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(attempt.stopped.wait())
    try:
        await asyncio.wait([doing, stopped], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        attempt.check()
        raise AssertionError("it waits for one of the two")
    finally:
        doing.cancel()
        stopped.cancel()


async def chunks_of(data: Data) -> AsyncIterator[bytes]:
    """The bytes of an artifact, in pieces."""
    if isinstance(data, os.PathLike):
        with await asyncio.to_thread(open, data, "rb") as file:
            while True:
                chunk = await asyncio.to_thread(file.read, CHUNK)
                if not chunk:
                    return
                yield chunk
    else:
        content = as_bytes(data)
        for begin in range(0, len(content), CHUNK):
            yield content[begin : begin + CHUNK]


def as_bytes(data: Union[bytes, bytearray, memoryview, str]) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, str):
        return data.encode()
    raise TypeError(f"data is bytes, text or a path (pathlib.Path), not {type(data).__name__}")


async def _collect(chunks: AsyncIterator[Any], path: Optional[str]) -> tuple[bytes, str]:
    """What comes, in memory or in a file; and its checksum."""
    sha256 = hashlib.sha256()
    parts: List[bytes] = []
    file = open(path, "wb") if path is not None else None
    try:
        async for message in chunks:
            sha256.update(message.chunk)
            if file is None:
                parts.append(message.chunk)
            else:
                await asyncio.to_thread(file.write, message.chunk)
    finally:
        if file is not None:
            file.close()
    return b"".join(parts), sha256.hexdigest()
