"""What a handler that is a coroutine works with."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Coroutine, Iterable, Optional, TypeVar, Union

from .._loop import LoopThread
from ..enums import ResultFormat, result_format
from ..v1 import job_pb2
from ._info import TaskInfo, page_of
from ._transfer import Data
from ._work import Work
from .errors import PermanentError

T = TypeVar("T")


class AsyncTask(TaskInfo):
    """The same as `Task`, for handlers that are coroutines.

    They run on the loop that serves the worker, and are cancelled (`asyncio.CancelledError`) when the attempt must stop. What computes for long
    belongs to `asyncio.to_thread`, or it holds up the other handlers; the worker's own stream has a thread of its own.
    """

    def __init__(self, work: Work, loop: LoopThread) -> None:
        super().__init__(work)
        self._loop = loop

    async def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        if self.cancelled:
            doing.close()
            self.check()
        return await asyncio.wrap_future(self._loop.submit(doing))

    async def document(self) -> bytes:
        """The document, whole and with the right checksum."""
        return await self._wait(self._work.document())

    async def document_path(self) -> Path:
        """The document as a file with the ending of its name, which is removed when the attempt is over."""
        return Path(await self._wait(self._work.document_path()))

    async def save_document(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the document to a file."""
        await self._wait(self._work.save_document(os.fspath(path)))

    async def password(self) -> Optional[str]:
        """The password that the job carries for its document. Keep it out of logs, command lines and files."""
        return await self._wait(self._work.password())

    async def plan(self, pages: int, document_pages: int = 0) -> None:
        """Says how many pages there are to do: 1 to 100,000, the same in every attempt. Before the first page. Where not all of the document
        are to be done, `document_pages` is how many it has; pages keep their numbers."""
        await self._wait(self._work.plan(pages, document_pages))

    async def page(
        self,
        number: int,
        artifact: Any,
        *,
        width: float = 0.0,
        height: float = 0.0,
        zones: Iterable[job_pb2.Zone] = (),
        warnings: Iterable[str] = (),
        seconds: Optional[float] = None,
    ) -> None:
        """Says that a page is done, with what was found on it: anything that can be JSON, or bytes that are. People read it at once. `width` and
        `height` in points, `seconds` that it took. At most 1,000 zones."""
        await self._wait(self._work.page(page_of(number, width, height, zones, warnings, seconds), artifact))

    async def read_page(self, number: int) -> bytes:
        """What an earlier attempt has written for one of `finished_pages`."""
        return await self._wait(self._work.read_page(number))

    async def export(self, format: Union[str, ResultFormat], data: Data) -> bool:
        """Writes a result: bytes, text, or a path of a file. Does nothing, and says `False`, where the job does not ask for that format."""
        return await self._wait(self._work.export(result_format(format), data))

    async def export_failed(self, format: Union[str, ResultFormat], code: str, message: str) -> None:
        """Says that a result cannot be made; the others and the job are not affected."""
        await self._wait(self._work.export_failed(result_format(format), PermanentError(code, message)))

    async def output(self, name: str, data: Data, *, media_type: Optional[str] = None) -> None:
        """Stores something that users of the job can read under this name: bytes, text, or a path of a file. One of that name is replaced. `name`: 1
        to 128 of `[a-z0-9._-]` in at most two parts divided by `/`. `media_type`: by the ending of the name, if not given."""
        await self._wait(self._work.output(name, data, media_type))

    async def write_artifact(self, name: str, data: Data) -> None:
        """Stores something for later attempts, which users do not see. Names as of outputs."""
        await self._wait(self._work.write_artifact(name, data))

    async def read_artifact(self, name: str, attempt: int) -> bytes:
        """What an attempt has stored. Errors: `NotFound`."""
        return await self._wait(self._work.read_artifact(name, attempt))
