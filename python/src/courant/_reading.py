"""Reading what the server keeps of a job: results, outputs, pages, the document."""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, List, Tuple, Union

from . import _read
from ._base import AsyncBase, JobLike, id_of
from ._connection import Path
from .enums import ResultFormat, format_number
from .errors import Conflict, NotFound
from .jobs import Output, output_of
from .v1 import job_service_pb2 as pb

#: A result format by its ending (`md`) or its name (`markdown`).
Format = Union[str, ResultFormat]


class AsyncReading(AsyncBase):
    """The part of the client that reads."""

    async def result(self, job: JobLike, format: Format = "md", *, offset: int = 0, limit: int = 0) -> bytes:
        """A result, or `limit` bytes of it (0: all) from `offset`. Errors: `NotFound`, `Conflict` (not written yet)."""
        return await _read.into_memory(self._result(job, format, offset, limit))

    async def result_text(self, job: JobLike, format: Format = "md") -> str:
        """A result as text."""
        return (await self.result(job, format)).decode()

    async def save_result(self, job: JobLike, path: Path, format: Format = "md") -> None:
        """Writes a result to a file, which is there once it is whole."""
        await _read.into_file(self._result(job, format, 0, 0), path)

    def _result(self, job: JobLike, format: Format, offset: int, limit: int) -> _read.Read:
        job_id, number = id_of(job), format_number(format)

        def opened(stub: Any, offset: int, limit: int) -> Tuple[Any, Any]:
            return stub.ReadResult, pb.ReadResultRequest(job_id=job_id, format=number, offset=offset, limit=limit)

        return _read.Read(self._connection, self._timeout, opened, offset, limit)

    async def document(self, job: JobLike, *, offset: int = 0, limit: int = 0) -> bytes:
        """The document itself, or `limit` bytes of it (0: all) from `offset`."""
        return await _read.into_memory(self._document(job, offset, limit))

    async def save_document(self, job: JobLike, path: Path) -> None:
        """Writes the document to a file, which is there once it is whole."""
        await _read.into_file(self._document(job, 0, 0), path)

    def _document(self, job: JobLike, offset: int, limit: int) -> _read.Read:
        job_id = id_of(job)

        def opened(stub: Any, offset: int, limit: int) -> Tuple[Any, Any]:
            return stub.DownloadDocument, pb.DownloadDocumentRequest(job_id=job_id, offset=offset, limit=limit)

        return _read.Read(self._connection, self._timeout, opened, offset, limit)

    async def outputs(self, job: JobLike) -> List[Output]:
        """What workers have made of the document so far, the results among it, in the order in which it was stored."""
        response = await self._call("ListOutputs", pb.ListOutputsRequest(job_id=id_of(job)))
        return [output_of(output) for output in response.outputs]

    async def output(self, job: JobLike, name: str, *, offset: int = 0, limit: int = 0) -> bytes:
        """An output by its name, or `limit` bytes of it (0: all) from `offset`. Errors: `NotFound`."""
        return await _read.into_memory(self._output(job, name, offset, limit))

    async def save_output(self, job: JobLike, name: str, path: Path) -> None:
        """Writes an output to a file, which is there once it is whole."""
        await _read.into_file(self._output(job, name, 0, 0), path)

    def _output(self, job: JobLike, name: str, offset: int, limit: int) -> _read.Read:
        job_id = id_of(job)

        def opened(stub: Any, offset: int, limit: int) -> Tuple[Any, Any]:
            return stub.ReadOutput, pb.ReadOutputRequest(job_id=job_id, name=name, offset=offset, limit=limit)

        return _read.Read(self._connection, self._timeout, opened, offset, limit)

    async def page(self, job: JobLike, number: int) -> Any:
        """What was found on one page, from its JSON. There as soon as the page is done. Errors: `NotFound`, `Conflict` (not done yet)."""
        job_id = id_of(job)

        def opened(stub: Any, offset: int, limit: int) -> Tuple[Any, Any]:
            return stub.ReadPage, pb.ReadPageRequest(job_id=job_id, page=number)

        read = _read.Read(self._connection, self._timeout, opened, 0, 0, resumes=False)
        return json.loads(await _read.into_memory(read))

    async def pages(self, job: JobLike) -> AsyncIterator[Tuple[int, Any]]:
        """The finished pages in order, each with its number. Those that are not done are left out."""
        now = await self.get(job)
        for number in range(1, max(now.pages_total, now.document_pages) + 1):
            try:
                yield number, await self.page(now, number)
            except (Conflict, NotFound):
                continue
