"""What a handler asks of its attempt, on the worker's loop. `Task` and `AsyncTask` bring calls here from where the handler runs."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import tempfile
from typing import Any, Dict, Optional

from ..enums import ResultFormat, from_wire, to_wire
from ..errors import InvalidRequest
from ..v1 import job_pb2
from ..v1 import worker_service_pb2 as pb
from ._attempt import Attempt, job_error
from ._transfer import Data, Transfer, as_bytes
from .errors import TaskError

#: The largest report that is sent. Servers take messages of up to 4 MiB.
MAX_REPORT_BYTES = 3 << 20


class Work:
    """One attempt: its assignment, and what is reported, read and written of it."""

    def __init__(self, attempt: Attempt, assignment: pb.Assignment, transfer: Transfer, limits: pb.Welcome) -> None:
        self.attempt = attempt
        self.assignment = assignment
        self.formats = [from_wire(ResultFormat, number, job_pb2.ResultFormat) for number in assignment.formats]
        self._transfer = transfer
        #: Bytes of an artifact that may come within a report.
        self._with_report = min(limits.max_page_artifact_bytes, MAX_REPORT_BYTES)
        self._folder: Optional[str] = None

    async def document(self) -> bytes:
        return await self._transfer.read_document(self.assignment, None)

    async def save_document(self, path: str) -> str:
        partial = f"{path}.partial"
        await self._transfer.read_document(self.assignment, partial)
        os.replace(partial, path)
        return path

    async def document_path(self) -> str:
        """In a folder that is removed when the attempt is over. Of the name only the ending is kept: it comes from strangers."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="courant-")
        ending = os.path.splitext(self.assignment.filename)[1]
        safe = ending if ending[1:].isalnum() and ending.isascii() else ""
        path = os.path.join(self._folder, f"document{safe.lower()}")
        return path if os.path.exists(path) else await self.save_document(path)

    def clean_up(self) -> None:
        """The handler has returned."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def password(self) -> Optional[str]:
        return await self._transfer.read_password() if self.assignment.has_password else None

    async def plan(self, pages: int, document_pages: int) -> None:
        plan = pb.ReportPlan(attempt=self.attempt.name, pages_total=pages, document_pages=document_pages)
        await self._report(plan=plan)

    async def page(self, page: job_pb2.Page, artifact: Any) -> None:
        content = as_bytes(artifact) if isinstance(artifact, (bytes, bytearray, memoryview)) else _json(artifact)
        report = pb.ReportPage(attempt=self.attempt.name, page=page)
        if content and len(content) <= self._with_report:
            report.artifact = content
        else:
            await self._transfer.write_artifact(page_name(page.number), content)
        await self._report(page=report)

    async def read_page(self, number: int) -> bytes:
        written_by = self.finished_pages().get(number)
        if written_by is None:
            raise InvalidRequest(f"no earlier attempt has finished page {number}")
        return await self._transfer.read_artifact(written_by, page_name(number))

    def finished_pages(self) -> Dict[int, int]:
        """Pages that earlier attempts have finished, with the attempt that did."""
        return {
            number: pages.attempt
            for pages in self.assignment.finished_pages
            for number in range(max(1, pages.first), pages.last + 1)
        }

    async def write_artifact(self, name: str, data: Data) -> None:
        await self._transfer.write_artifact(name, data)

    async def read_artifact(self, name: str, written_by: int) -> bytes:
        return await self._transfer.read_artifact(written_by, name)

    async def export(self, format: ResultFormat, data: Data) -> bool:
        """Writes a result, if it is asked for."""
        if format not in self.formats:
            return False
        number = to_wire(format, job_pb2.ResultFormat)
        await self._report(export_started=pb.ReportExportStarted(attempt=self.attempt.name, format=number))
        await self._transfer.write_artifact(f"result.{format.value}", data)
        await self._report(export_completed=pb.ReportExportCompleted(attempt=self.attempt.name, format=number))
        return True

    async def export_failed(self, format: ResultFormat, error: TaskError) -> None:
        if format in self.formats:
            number = to_wire(format, job_pb2.ResultFormat)
            await self._report(export_started=pb.ReportExportStarted(attempt=self.attempt.name, format=number))
            report = pb.ReportExportFailed(attempt=self.attempt.name, format=number, error=job_error(error))
            await self._report(export_failed=report)

    async def output(self, name: str, data: Data, media_type: Optional[str]) -> None:
        report = pb.ReportOutput(attempt=self.attempt.name, name=name, media_type=media_type or media_type_of(name, data))
        content = None if isinstance(data, os.PathLike) else as_bytes(data)
        if content is not None and len(content) <= self._with_report:
            report.artifact = content
        else:
            await self._transfer.write_artifact(name, data)
        await self._report(output=report)

    async def _report(self, **message: Any) -> None:
        request = pb.WorkRequest(**message)
        # The server would end the stream, and find it there again on the next.
        if request.ByteSize() > MAX_REPORT_BYTES + 4096:
            raise InvalidRequest(f"a report has more than {MAX_REPORT_BYTES} bytes")
        await self.attempt.report(request)


def page_name(number: int) -> str:
    return f"pages/{number:06}.json"


def media_type_of(name: str, data: Data) -> str:
    """By the ending of the name."""
    guessed = mimetypes.guess_type(name)[0] or ("text/plain" if isinstance(data, str) else "application/octet-stream")
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") and isinstance(data, str) else guessed


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
