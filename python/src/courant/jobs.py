"""What there is to know of a job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional

from google.protobuf.timestamp_pb2 import Timestamp

from .enums import ExportState, JobState, Lane, ResultFormat, Stage, from_wire
from .v1 import job_pb2


@dataclass(frozen=True)
class JobError:
    """Why something failed."""

    #: For programs, for example `PASSWORD_REQUIRED`.
    code: str
    #: For people: what to do about it.
    message: str
    #: Whether trying again can help.
    retryable: bool


@dataclass(frozen=True)
class Export:
    """One result format of a job."""

    format: ResultFormat
    state: ExportState
    #: Once completed.
    size_bytes: int
    #: Once completed; 64 lower-case hexadecimal digits.
    sha256: str
    error: Optional[JobError]


@dataclass(frozen=True)
class Output:
    """Something that a worker has made of the document, beside the result formats."""

    name: str
    #: For example `text/csv; charset=utf-8`.
    media_type: str
    size_bytes: int
    #: 64 lower-case hexadecimal digits.
    sha256: str
    #: The attempt that made it.
    attempt: int


class Job:
    """A job as it was at one moment."""

    __slots__ = ("cursor", "message")

    #: Everything, as in `courant/v1/job.proto`.
    message: job_pb2.Job
    #: Of `submit`, `get` and `retry`: a watch `after` it misses nothing. After `submit` and `retry` it begins with the first event. Else empty.
    cursor: str

    def __init__(self, message: job_pb2.Job, cursor: str = "") -> None:
        self.message = message
        self.cursor = cursor

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.filename!r} {self.state} {self.percent:.0f} %>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.message == other.message

    __hash__ = None  # type: ignore[assignment]

    @property
    def id(self) -> str:
        """26 characters of `[0-9A-Z]`, chosen by the server."""
        return self.message.job_id

    @property
    def state(self) -> JobState:
        return from_wire(JobState, self.message.state, job_pb2.JobState)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state.ended

    @property
    def succeeded(self) -> bool:
        return self.state is JobState.SUCCEEDED

    @property
    def owner(self) -> str:
        """The user it belongs to."""
        return self.message.owner

    @property
    def kind(self) -> str:
        """What kind of work it is; workers say which kinds they take."""
        return self.message.kind

    @property
    def filename(self) -> str:
        return self.message.filename

    @property
    def document_id(self) -> str:
        return self.message.document_id

    @property
    def document_bytes(self) -> int:
        return self.message.document_bytes

    @property
    def document_sha256(self) -> str:
        return self.message.document_sha256

    @property
    def batch_id(self) -> str:
        """Empty for none."""
        return self.message.batch_id

    @property
    def request_id(self) -> str:
        return self.message.request_id

    @property
    def lane(self) -> Lane:
        return from_wire(Lane, self.message.lane, job_pb2.Lane)

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self.message.labels)

    @property
    def parameters(self) -> Optional[Dict[str, Any]]:
        """As they were submitted. `None` where there are none, and in lists and events also where they have more than 2 KiB: `get` has
        those."""
        return parse_parameters(self.message.parameters)

    @property
    def percent(self) -> float:
        """0 to 100."""
        return self.message.progress.percent

    @property
    def stage(self) -> Stage:
        return from_wire(Stage, self.message.progress.stage, job_pb2.Stage)

    @property
    def operation(self) -> str:
        """What is being done, in a sentence for people."""
        return self.message.progress.operation

    @property
    def attempt(self) -> int:
        """The number of the current or last attempt; 0 before the first."""
        return self.message.attempt

    @property
    def worker_id(self) -> str:
        """Who holds it. Empty unless it runs."""
        return self.message.worker_id

    @property
    def pages_total(self) -> int:
        """Pages to be done; 0 until known."""
        return self.message.pages_total

    @property
    def document_pages(self) -> int:
        """Pages in the document: more than `pages_total` where only some were asked for. 0 until known."""
        return self.message.document_pages

    @property
    def pages_done(self) -> int:
        return self.message.pages_done

    @property
    def position(self) -> Optional[int]:
        """Its position in its lane, from 1. `None` unless it waits."""
        return self.message.queue_position.position if self.message.HasField("queue_position") else None

    @property
    def warnings(self) -> List[str]:
        """What a reader of the result should know."""
        return list(self.message.warnings)

    @property
    def error(self) -> Optional[JobError]:
        """Why the last attempt failed."""
        return job_error(self.message.error) if self.message.HasField("error") else None

    @property
    def exports(self) -> List[Export]:
        """The result formats, in the order in which they are written."""
        return [export_of(export) for export in self.message.exports]

    @property
    def outputs(self) -> List[Output]:
        """What workers have made of the document beside `exports`."""
        return [output_of(output) for output in self.message.outputs]

    @property
    def revision(self) -> int:
        """Of its newest durable event. Grows; never compute with it."""
        return self.message.revision

    @property
    def create_time(self) -> Optional[datetime]:
        return moment(self.message.create_time)

    @property
    def start_time(self) -> Optional[datetime]:
        """When the first attempt started."""
        return moment(self.message.start_time)

    @property
    def end_time(self) -> Optional[datetime]:
        return moment(self.message.end_time)


def parse_parameters(text: str) -> Optional[Dict[str, Any]]:
    if not text:
        return None
    parsed: Dict[str, Any] = json.loads(text)
    return parsed


def job_error(error: job_pb2.JobError) -> JobError:
    return JobError(error.code, error.message, error.retryable)


def export_of(export: job_pb2.Export) -> Export:
    return Export(
        from_wire(ResultFormat, export.format, job_pb2.ResultFormat),
        from_wire(ExportState, export.state, job_pb2.ExportState),
        export.size_bytes,
        export.sha256,
        job_error(export.error) if export.HasField("error") else None,
    )


def output_of(output: job_pb2.Output) -> Output:
    return Output(output.name, output.media_type, output.size_bytes, output.sha256, output.attempt)


def moment(time: Timestamp) -> Optional[datetime]:
    """In UTC; `None` where it is not set."""
    return time.ToDatetime(timezone.utc) if time.seconds or time.nanos else None
