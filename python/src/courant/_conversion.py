"""One call from a document to its result."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import AsyncIterator, List, Optional

import grpc
import grpc.aio

from ._connection import Connection
from ._documents import Source
from ._status import error_of, is_passing
from ._stubs import job_service
from .errors import JobFailed, LimitReached, Unauthenticated
from .jobs import Job
from .v1 import job_service_pb2 as pb

#: More than a server waits: it cuts this to what it does.
LONGEST = 3600.0


@dataclass
class Conversion:
    """What has come of the call. Without a result the job, if there is one, goes on."""

    result: Optional[bytes] = None
    job: Optional[Job] = None
    #: Seconds since there is a job.
    waited: float = 0.0


async def convert_once(
    connection: Connection, header: pb.SubmitJobHeader, source: Source, wait: Optional[float]
) -> Conversion:
    """Submits, waits and reads in one call. One that breaks, that an older server does not know, or for which there is no room, is not
    repeated: submitting again finds the job by its request id. Errors: `JobFailed`, and those of a submit."""
    convert = pb.ConvertDocumentHeader(submit=header, format=header.formats[0])
    convert.wait.FromMilliseconds(int(1000 * min(LONGEST, LONGEST if wait is None else max(0.0, wait))))

    async def parts() -> AsyncIterator[pb.ConvertDocumentRequest]:
        yield pb.ConvertDocumentRequest(header=convert)
        async for chunk in source.chunks():
            yield pb.ConvertDocumentRequest(chunk=chunk)

    answer = _Answer()
    stream = job_service(connection.channel()).ConvertDocument(parts(), metadata=await connection.metadata())
    try:
        async for message in stream:
            answer.take(message)
    except grpc.aio.AioRpcError as status:
        error = error_of(status)
        # The other calls can do without this one.
        goes_on = isinstance(error, (LimitReached, Unauthenticated)) or status.code() is grpc.StatusCode.UNIMPLEMENTED
        if not goes_on and not is_passing(status, error):
            raise error from None
        answer.expected = ""
    finally:
        stream.cancel()
    return answer.conversion()


class _Answer:
    def __init__(self) -> None:
        self.expected = ""
        self._job: Optional[Job] = None
        self._since = 0.0
        self._chunks: List[bytes] = []

    def take(self, message: pb.ConvertDocumentResponse) -> None:
        part = message.WhichOneof("part")
        if part == "submitted":
            self._job, self._since = Job(message.submitted.job, message.submitted.cursor), time.monotonic()
        elif part == "unfinished":
            self._job = Job(message.unfinished.job, message.unfinished.cursor)
        elif part == "failed":
            raise JobFailed(Job(message.failed))
        elif part == "header":
            self.expected = message.header.sha256
        elif part == "chunk":
            self._chunks.append(message.chunk)

    def conversion(self) -> Conversion:
        waited = time.monotonic() - self._since if self._job else 0.0
        content = b"".join(self._chunks)
        # What did not arrive whole is read again.
        whole = bool(self.expected) and hashlib.sha256(content).hexdigest() == self.expected
        return Conversion(content if whole else None, self._job, waited)
