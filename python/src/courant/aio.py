"""The client for programs that use asyncio. All rules are here; `courant.Client` is this one with calls that wait."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from math import inf
from typing import Any, AsyncIterator, Iterable, Mapping, Optional, Union

import grpc.aio

from ._base import JobLike, id_of
from ._calls import Tries, call
from ._conversion import convert_once
from ._documents import Document, Source, open_document
from ._reading import AsyncReading, Format
from ._stubs import job_service
from ._submit import SubmitOptions, submit_header
from ._watch import follow
from ._within import within
from .enums import JobState, Lane, job_state, to_wire
from .errors import Conflict, JobFailed, NotFound, WaitTimeout
from .events import Event, EventType
from .jobs import Job
from .v1 import job_pb2
from .v1 import job_service_pb2 as pb

Seconds = Union[float, timedelta]


class AsyncClient(AsyncReading):
    """Submits jobs, reads and follows them.

    `AsyncClient("http://127.0.0.1:50051", token=…)`; use it with `async with`, or call `close`.
    """

    async def submit(
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
        options = SubmitOptions(
            kind=kind,
            parameters=parameters,
            callback=callback,
            formats=tuple(formats),
            labels=labels,
            lane=lane,
            batch_id=batch_id,
            batch_size=batch_size,
            document_id=document_id,
            owner=owner,
            pages=pages,
            password=password,
            cancel_when_unwatched=cancel_when_unwatched,
            request_id=request_id or str(uuid.uuid4()),
        )
        source = await asyncio.to_thread(open_document, document, filename)
        try:
            return await self._submit(submit_header(source, options), source)
        finally:
            source.close()

    async def _submit(self, header: pb.SubmitJobHeader, source: Source) -> Job:
        async def parts() -> AsyncIterator[pb.SubmitJobRequest]:
            yield pb.SubmitJobRequest(header=header)
            async for chunk in source.chunks():
                yield pb.SubmitJobRequest(chunk=chunk)

        # Without a deadline of its own: the server ends uploads that stop, and keepalive connections that are dead.
        response = await call(
            self._connection,
            self._timeout,
            lambda channel, metadata, _: job_service(channel).SubmitJob(parts(), metadata=metadata),
        )
        return Job(response.job, response.cursor)

    async def list(
        self,
        *,
        states: Iterable[Union[str, JobState]] = (),
        filter: str = "",
        labels: Optional[Mapping[str, str]] = None,
        batch_id: str = "",
        document_id: str = "",
        owner: str = "",
        page_size: int = 100,
    ) -> AsyncIterator[Job]:
        """Jobs, newest first: one's own, of another `owner`, or with `-` of all, which needs the role `admin`. `filter` is of AIP-160, for
        example `state = FAILED AND labels.team = "law"`. Reads one page after the other."""
        request = pb.ListJobsRequest(
            states=[to_wire(job_state(state), job_pb2.JobState) for state in states],
            filter=filter,
            labels=labels or {},
            batch_id=batch_id,
            document_id=document_id,
            owner=owner,
            page_size=page_size,
        )
        while True:
            response = await self._call("ListJobs", request)
            for job in response.jobs:
                yield Job(job)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def cancel(self, job: JobLike) -> Job:
        """Cancels a job: a waiting one at once, a running one once its worker has stopped. Errors: `Conflict` (it has ended)."""
        return Job((await self._call("CancelJob", pb.CancelJobRequest(job_id=id_of(job)))).job)

    async def retry(self, job: JobLike, *, password: Optional[str] = None) -> Job:
        """Queues a failed or cancelled job again; its finished pages are kept. Errors: `Conflict` (neither failed nor cancelled)."""
        request = pb.RetryJobRequest(job_id=id_of(job))
        if password is not None:
            request.password.text = password
        tries = Tries(self._connection, self._timeout)
        try:
            response = await self._call("RetryJob", request, tries)
            return Job(response.job, response.cursor)
        except Conflict:
            # The answer to a try before may have been lost.
            now = await self.get(job) if tries.failed else None
            if now is None or now.ended:
                raise
            return now

    async def delete(self, job: JobLike) -> None:
        """Removes a job that has ended, with its document and results. Errors: `Conflict` (it has not ended)."""
        tries = Tries(self._connection, self._timeout)
        try:
            await self._call("DeleteJob", pb.DeleteJobRequest(job_id=id_of(job)), tries)
        except NotFound:
            # The answer to a try before may have been lost.
            if not tries.failed:
                raise

    def watch(self, job: JobLike, *, after: str = "", min_interval: Seconds = 0.0) -> AsyncIterator[Event]:
        """Follows a job: its snapshot, or what happened after a cursor, then every event, until it has ended.

        Goes on by itself after a cut or a restart of the server. `min_interval`: seconds between events of the moment (progress); durable
        ones are never held back. Errors: `NotFound`; `Unavailable` after `patience` seconds without the server.
        """
        job_id = id_of(job)

        def opened(channel: grpc.aio.Channel, metadata: Any, cursor: str) -> Any:
            request = pb.WatchJobRequest(job_id=job_id, after_cursor=cursor)
            request.min_interval.FromTimedelta(_span(min_interval))
            return job_service(channel).WatchJob(request, metadata=metadata)

        async def is_over() -> bool:
            return (await self.get(job_id)).ended

        return follow(self._connection, self._patience, after, opened, is_over)

    def watch_all(
        self,
        *,
        batch_id: str = "",
        document_id: str = "",
        owner: str = "",
        after: str = "",
        min_interval: Seconds = 0.0,
    ) -> AsyncIterator[Event]:
        """Follows all one's jobs, those of a batch, or of another `owner`. Never ends. Snapshots of unfinished and of the newest finished jobs
        come first, then `EventType.LIVE`."""

        def opened(channel: grpc.aio.Channel, metadata: Any, cursor: str) -> Any:
            request = pb.WatchJobsRequest(owner=owner, document_id=document_id, batch_id=batch_id, after_cursor=cursor)
            request.min_interval.FromTimedelta(_span(min_interval))
            return job_service(channel).WatchJobs(request, metadata=metadata)

        return follow(self._connection, self._patience, after, opened)

    async def wait(self, job: JobLike, timeout: Optional[float] = None, *, check: bool = False) -> Job:
        """Waits until a job has ended and returns it as it is then. `check`: raises `JobFailed` unless it succeeded.

        Errors: `WaitTimeout` (the job goes on), `NotFound` (also when it is removed meanwhile)."""
        job_id = id_of(job)
        try:
            await within(inf if timeout is None else timeout, self._until_ended(job_id))
        except asyncio.TimeoutError:
            raise WaitTimeout(f"The job {job_id} had not ended after {timeout:g} s.") from None
        ended = await self.get(job_id)
        if check and not ended.succeeded:
            raise JobFailed(ended)
        return ended

    async def _until_ended(self, job_id: str) -> None:
        async for event in self.watch(job_id, min_interval=60.0):
            if event.type is EventType.DELETED:
                return

    async def convert(
        self, document: Document, format: Format = "md", *, timeout: Optional[float] = None, **options: Any
    ) -> bytes:
        """Submits a document, waits, and returns one result. `options`: those of `submit`. Errors: `JobFailed`, `WaitTimeout`."""
        request_id = options.pop("request_id", None) or str(uuid.uuid4())
        source = await asyncio.to_thread(open_document, document, options.pop("filename", None))
        try:
            header = submit_header(source, SubmitOptions(request_id=request_id, formats=(format,), **options))
            done = await convert_once(self._connection, header, source, timeout)
            if done.result is not None:
                return done.result
            job = done.job or await self._submit(header, source)
        finally:
            source.close()
        # The call broke, or may not last so long: the job goes on.
        await self.wait(job, None if timeout is None else max(0.0, timeout - done.waited), check=True)
        return await self.result(job, format)


def _span(seconds: Seconds) -> timedelta:
    return seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
