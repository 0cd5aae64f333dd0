"""The client for programs that do not use asyncio. Each call waits; all rules are those of `courant.AsyncClient`."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Iterable, List, Mapping, Optional, Tuple, Type, Union

from ._base import JobLike
from ._connection import Path, TokenSource
from ._documents import Document
from ._loop import Iteration, shared_loop
from ._reading import Format
from .aio import AsyncClient, Seconds
from .enums import JobState, Lane
from .events import Event
from .jobs import Job, Output


class Client:
    """Submits jobs, reads and follows them. Use it with `with`, or call `close`. May be used by several threads at once.

    `url`: `http://host:port` or `https://host:port`; those of several servers that share a log with commas between them.
    `token`, or a file with it: a string, or a function that is called for each call.
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
        self._async = AsyncClient(
            url,
            token=token,
            token_file=token_file,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            timeout=timeout,
            patience=patience,
        )
        self._loop = shared_loop()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Calls under way fail."""
        self._loop.run(self._async.close())

    def submit(
        self,
        document: Document,
        *,
        kind: str = "pdf",
        filename: Optional[str] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        callback: str = "",
        formats: Iterable[Format] = (),
        labels: Optional[Mapping[str, str]] = None,
        lane: Optional[Union[str, Lane]] = None,
        batch_id: str = "",
        batch_size: int = 0,
        document_id: str = "",
        owner: str = "",
        pages: int = 0,
        password: Optional[str] = None,
        cancel_when_unwatched: Optional[Seconds] = None,
        request_id: Optional[str] = None,
    ) -> Job:
        """Submits a document: a path, bytes, or a file opened for bytes. Returns once the job is durable.

        Repeated when the answer is lost, and then the same job: by the `request_id`, which is made here where none is given. The fields are
        those of `SubmitJobHeader` in `courant/v1/job_service.proto`. `formats`: the results to write, all where none are named.
        """
        return self._loop.run(
            self._async.submit(
                document,
                kind=kind,
                filename=filename,
                parameters=parameters,
                callback=callback,
                formats=formats,
                labels=labels,
                lane=lane,
                batch_id=batch_id,
                batch_size=batch_size,
                document_id=document_id,
                owner=owner,
                pages=pages,
                password=password,
                cancel_when_unwatched=cancel_when_unwatched,
                request_id=request_id,
            )
        )

    def get(self, job: JobLike) -> Job:
        """Reads a job, with all its parameters. Errors: `NotFound`."""
        return self._loop.run(self._async.get(job))

    def list(
        self,
        *,
        states: Iterable[Union[str, JobState]] = (),
        filter: str = "",
        labels: Optional[Mapping[str, str]] = None,
        batch_id: str = "",
        document_id: str = "",
        owner: str = "",
        page_size: int = 100,
    ) -> Iteration[Job]:
        """Jobs, newest first: one's own, of another `owner`, or with `-` of all, which needs the role `admin`. `filter` is of AIP-160, for
        example `state = FAILED AND labels.team = "law"`. Reads one page after the other."""
        jobs = self._async.list(
            states=states,
            filter=filter,
            labels=labels,
            batch_id=batch_id,
            document_id=document_id,
            owner=owner,
            page_size=page_size,
        )
        return Iteration(self._loop, jobs)

    def cancel(self, job: JobLike) -> Job:
        """Cancels a job: a waiting one at once, a running one once its worker has stopped. Errors: `Conflict` (it has ended)."""
        return self._loop.run(self._async.cancel(job))

    def retry(self, job: JobLike, *, password: Optional[str] = None) -> Job:
        """Queues a failed or cancelled job again; its finished pages are kept. Errors: `Conflict` (neither failed nor cancelled)."""
        return self._loop.run(self._async.retry(job, password=password))

    def delete(self, job: JobLike) -> None:
        """Removes a job that has ended, with its document and results. Errors: `Conflict` (it has not ended)."""
        self._loop.run(self._async.delete(job))

    def watch(self, job: JobLike, *, after: str = "", min_interval: Seconds = 0.0) -> Iteration[Event]:
        """Follows a job: its snapshot, or what happened after a cursor, then every event, until it has ended.

        Goes on by itself after a cut or a restart of the server. `min_interval`: seconds between events of the moment (progress); durable
        ones are never held back. Errors: `NotFound`; `Unavailable` after `patience` seconds without the server.
        """
        return Iteration(self._loop, self._async.watch(job, after=after, min_interval=min_interval))

    def watch_all(
        self,
        *,
        batch_id: str = "",
        document_id: str = "",
        owner: str = "",
        after: str = "",
        min_interval: Seconds = 0.0,
    ) -> Iteration[Event]:
        """Follows all one's jobs, those of a batch, or of another `owner`. Never ends. Snapshots of unfinished and of the newest finished jobs
        come first, then `EventType.LIVE`."""
        events = self._async.watch_all(
            batch_id=batch_id, document_id=document_id, owner=owner, after=after, min_interval=min_interval
        )
        return Iteration(self._loop, events)

    def wait(self, job: JobLike, timeout: Optional[float] = None, *, check: bool = False) -> Job:
        """Waits until a job has ended and returns it as it is then. `check`: raises `JobFailed` unless it succeeded.

        Errors: `WaitTimeout` (the job goes on), `NotFound` (also when it is removed meanwhile)."""
        return self._loop.run(self._async.wait(job, timeout, check=check))

    def convert(
        self, document: Document, format: Format = "md", *, timeout: Optional[float] = None, **options: Any
    ) -> bytes:
        """Submits a document, waits, and returns one result. `options`: those of `submit`. Errors: `JobFailed`, `WaitTimeout`."""
        return self._loop.run(self._async.convert(document, format, timeout=timeout, **options))

    def result(self, job: JobLike, format: Format = "md", *, offset: int = 0, limit: int = 0) -> bytes:
        """A result, or `limit` bytes of it (0: all) from `offset`. Errors: `NotFound`, `Conflict` (not written yet)."""
        return self._loop.run(self._async.result(job, format, offset=offset, limit=limit))

    def result_text(self, job: JobLike, format: Format = "md") -> str:
        """A result as text."""
        return self._loop.run(self._async.result_text(job, format))

    def save_result(self, job: JobLike, path: Path, format: Format = "md") -> None:
        """Writes a result to a file, which is there once it is whole."""
        self._loop.run(self._async.save_result(job, path, format))

    def document(self, job: JobLike, *, offset: int = 0, limit: int = 0) -> bytes:
        """The document itself, or `limit` bytes of it (0: all) from `offset`."""
        return self._loop.run(self._async.document(job, offset=offset, limit=limit))

    def save_document(self, job: JobLike, path: Path) -> None:
        """Writes the document to a file, which is there once it is whole."""
        self._loop.run(self._async.save_document(job, path))

    def outputs(self, job: JobLike) -> List[Output]:
        """What workers have made of the document so far, the results among it, in the order in which it was stored."""
        return self._loop.run(self._async.outputs(job))

    def output(self, job: JobLike, name: str, *, offset: int = 0, limit: int = 0) -> bytes:
        """An output by its name, or `limit` bytes of it (0: all) from `offset`. Errors: `NotFound`."""
        return self._loop.run(self._async.output(job, name, offset=offset, limit=limit))

    def save_output(self, job: JobLike, name: str, path: Path) -> None:
        """Writes an output to a file, which is there once it is whole."""
        self._loop.run(self._async.save_output(job, name, path))

    def page(self, job: JobLike, number: int) -> Any:
        """What was found on one page, from its JSON. There as soon as the page is done. Errors: `NotFound`, `Conflict` (not done yet)."""
        return self._loop.run(self._async.page(job, number))

    def pages(self, job: JobLike) -> Iteration[Tuple[int, Any]]:
        """The finished pages in order, each with its number. Those that are not done are left out."""
        return Iteration(self._loop, self._async.pages(job))
