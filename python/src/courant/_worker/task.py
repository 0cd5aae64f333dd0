"""What a handler that is a plain function works with."""

from __future__ import annotations

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


class Task(TaskInfo):
    """One attempt at one job.

    Reports (`plan`, `page`, `export`, `output`) reach the server in order, also when the connection breaks; they wait when 64 of them are not
    acknowledged. Methods raise `Stopped` once the attempt must stop. Other errors of theirs (`CourantError`) may pass: the attempt then ends
    as they say, and is tried again where that can help. May be used by several threads of the handler.
    """

    def __init__(self, work: Work, loop: LoopThread) -> None:
        super().__init__(work)
        self._loop = loop

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        if self.cancelled:
            doing.close()
            self.check()
        return self._loop.run(doing)

    def document(self) -> bytes:
        """The document, whole and with the right checksum."""
        return self._wait(self._work.document())

    def document_path(self) -> Path:
        """The document as a file with the ending of its name, which is removed when the attempt is over."""
        return Path(self._wait(self._work.document_path()))

    def save_document(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the document to a file."""
        self._wait(self._work.save_document(os.fspath(path)))

    def password(self) -> Optional[str]:
        """The password that the job carries for its document. Keep it out of logs, command lines and files."""
        return self._wait(self._work.password())

    def sleep(self, seconds: float) -> None:
        """Waits so long, or until the attempt must stop: then it raises `Stopped`."""
        self._work.attempt.interrupted.wait(seconds)
        self.check()

    def plan(self, pages: int, document_pages: int = 0) -> None:
        """Says how many pages there are to do: 1 to 100,000, the same in every attempt. Before the first page. Where not all of the document
        are to be done, `document_pages` is how many it has; pages keep their numbers."""
        self._wait(self._work.plan(pages, document_pages))

    def page(
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
        self._wait(self._work.page(page_of(number, width, height, zones, warnings, seconds), artifact))

    def read_page(self, number: int) -> bytes:
        """What an earlier attempt has written for one of `finished_pages`."""
        return self._wait(self._work.read_page(number))

    def export(self, format: Union[str, ResultFormat], data: Data) -> bool:
        """Writes a result: bytes, text, or a path of a file. Does nothing, and says `False`, where the job does not ask for that format."""
        return self._wait(self._work.export(result_format(format), data))

    def export_failed(self, format: Union[str, ResultFormat], code: str, message: str) -> None:
        """Says that a result cannot be made; the others and the job are not affected."""
        self._wait(self._work.export_failed(result_format(format), PermanentError(code, message)))

    def output(self, name: str, data: Data, *, media_type: Optional[str] = None) -> None:
        """Stores something that users of the job can read under this name: bytes, text, or a path of a file. One of that name is replaced. `name`: 1
        to 128 of `[a-z0-9._-]` in at most two parts divided by `/`. `media_type`: by the ending of the name, if not given."""
        self._wait(self._work.output(name, data, media_type))

    def write_artifact(self, name: str, data: Data) -> None:
        """Stores something for later attempts, which users do not see. Names as of outputs."""
        self._wait(self._work.write_artifact(name, data))

    def read_artifact(self, name: str, attempt: int) -> bytes:
        """What an attempt has stored. Errors: `NotFound`."""
        return self._wait(self._work.read_artifact(name, attempt))
