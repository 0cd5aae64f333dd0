"""Documents to submit: a path, bytes or an open file. Read as often as a submit has to be repeated."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tempfile
from typing import IO, AsyncIterator, BinaryIO, Optional, Union, cast

Document = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO]

# Bytes of a document that are sent at once.
CHUNK = 256 * 1024
# Bytes of a stream that cannot be read twice are kept in memory; more goes to a temporary file.
SPOOL = 8 << 20


class Source:
    """Bytes that can be read again, with their size and checksum."""

    name: str
    size: int
    sha256: str

    def __init__(self, opened: IO[bytes], name: str, begin: int, owned: bool) -> None:
        self._file = opened
        self._begin = begin
        self._owned = owned
        self.name = name
        self.size, self.sha256 = _measure(opened, begin)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, from the beginning."""
        self._file.seek(self._begin)
        while True:
            chunk = await asyncio.to_thread(self._file.read, CHUNK)
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        if self._owned:
            self._file.close()


def open_document(document: Document, filename: Optional[str] = None) -> Source:
    """Opens what a caller gave. Errors: a file that cannot be read, something that is no document."""
    if isinstance(document, (bytes, bytearray, memoryview)):
        return Source(_in_memory(bytes(document)), filename or "", 0, owned=True)
    if isinstance(document, (str, os.PathLike)):
        path = os.fspath(document)
        return Source(open(path, "rb"), filename or os.path.basename(path), 0, owned=True)
    if not hasattr(document, "read"):
        raise TypeError(f"a document is a path, bytes or a file opened for reading bytes, not {type(document).__name__}")
    name = getattr(document, "name", "")
    known = filename or (os.path.basename(name) if isinstance(name, str) else "")
    if document.seekable():
        return Source(document, known, document.tell(), owned=False)
    return Source(_spooled(document), known, 0, owned=True)


def _in_memory(content: bytes) -> IO[bytes]:
    return io.BytesIO(content)


def _spooled(stream: BinaryIO) -> IO[bytes]:
    spool = cast(IO[bytes], tempfile.SpooledTemporaryFile(SPOOL))
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            return spool
        spool.write(_bytes(chunk))


def _measure(opened: IO[bytes], begin: int) -> tuple[int, str]:
    opened.seek(begin)
    size, sha256 = 0, hashlib.sha256()
    while True:
        chunk = opened.read(CHUNK)
        if not chunk:
            return size, sha256.hexdigest()
        sha256.update(_bytes(chunk))
        size += len(chunk)


def _bytes(chunk: object) -> bytes:
    if not isinstance(chunk, bytes):
        raise TypeError('the file was opened for text; open it with mode "rb"')
    return chunk
