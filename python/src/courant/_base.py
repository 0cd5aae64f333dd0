"""What all parts of the client stand on: the connection, and calls over it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Optional, Type, TypeVar, Union

from ._calls import Tries, call
from ._connection import Connection, Path, Tls, Token, TokenSource
from ._stubs import job_service
from .jobs import Job
from .v1 import job_service_pb2 as pb

#: A job, or its id.
JobLike = Union[str, Job]
Self = TypeVar("Self", bound="AsyncBase")


def id_of(job: JobLike) -> str:
    """The id of a job."""
    return job.id if isinstance(job, Job) else job


class AsyncBase:
    """A connection to the server. Use it with `async with`, or call `close`.

    `url`: `http://host:port` or `https://host:port`; those of several servers that share a log with commas between them.
    `token`, or a file with it: a string, or a function (also an async one) that is called for each call.
    `timeout`: seconds that a call is tried, while the server is away or busy. `patience`: the same for watches, each time they lose it.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Optional[TokenSource] = None,
        token_file: Optional[Path] = None,
        ca_file: Optional[Path] = None,
        cert_file: Optional[Path] = None,
        key_file: Optional[Path] = None,
        timeout: float = 60.0,
        patience: float = 600.0,
    ) -> None:
        self._connection = Connection(url, Token(token, token_file), Tls(ca_file, cert_file, key_file))
        self._timeout = timeout
        self._patience = patience

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection. Calls under way fail."""
        await self._connection.close()

    async def _call(self, method: str, request: Any, tries: Optional[Tries] = None) -> Any:
        return await call(
            self._connection,
            self._timeout,
            lambda channel, metadata, left: getattr(job_service(channel), method)(request, metadata=metadata, timeout=left),
            tries,
        )

    async def get(self, job: JobLike) -> Job:
        """Reads a job, with all its parameters. Errors: `NotFound`."""
        response = await self._call("GetJob", pb.GetJobRequest(job_id=id_of(job)))
        if response.parameters:
            response.job.parameters = response.parameters
        return Job(response.job, response.cursor)
