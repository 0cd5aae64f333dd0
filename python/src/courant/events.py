"""What a watch says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Optional

from .enums import GapReason, ResultFormat, from_wire
from .jobs import Export, Job, JobError, Output, export_of, job_error, moment, output_of
from .v1 import job_pb2, job_service_pb2


class EventType(str, Enum):
    """What happened. All but those marked are durable: they come in order, each once, and none is left out."""

    #: The job as it is now: where a watch begins, and after a gap.
    SNAPSHOT = "snapshot"
    #: What was missed has been sent; what follows happens now. Once at the beginning and once after each gap.
    LIVE = "live"
    #: Events were missed that the server no longer has; snapshots follow. `gap` says why.
    GAP = "gap"
    QUEUED = "queued"
    STARTED = "started"
    PLANNED = "planned"
    #: Of the moment: percent, stage or operation changed.
    PROGRESSED = "progressed"
    #: Of the moment.
    ZONE_STARTED = "zone_started"
    PAGE_FINISHED = "page_finished"
    EXPORT_STARTED = "export_started"
    #: Of the moment.
    EXPORT_PROGRESSED = "export_progressed"
    EXPORT_COMPLETED = "export_completed"
    EXPORT_FAILED = "export_failed"
    OUTPUT_STORED = "output_stored"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Of the moment: the position in the lane changed.
    QUEUE_POSITION_CHANGED = "queue_position_changed"
    #: The job is gone. Of `job` only its ids are known.
    DELETED = "deleted"
    #: Something of a newer server; see `message`.
    OTHER = "other"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Event:
    """One step of a watch."""

    type: EventType
    #: The job afterwards. `None` for `LIVE` and `GAP`.
    job: Optional[Job]
    #: Where to continue after this event: `watch(…, after=cursor)`. Empty while the snapshots of a watch over many jobs come.
    cursor: str
    #: Unique and growing for durable events; 0 for those of the moment.
    revision: int = 0
    time: Optional[datetime] = None
    #: Of `PAGE_FINISHED`: the page with its zones.
    page: Optional[job_pb2.Page] = None
    #: Of `EXPORT_COMPLETED` and `EXPORT_FAILED`.
    export: Optional[Export] = None
    #: Of `EXPORT_STARTED`, `EXPORT_PROGRESSED`, `EXPORT_COMPLETED` and `EXPORT_FAILED`.
    format: Optional[ResultFormat] = None
    #: Of `OUTPUT_STORED`.
    output: Optional[Output] = None
    #: Of `FAILED` and `RETRYING`: why the attempt ended. `None` for a retry that a person asked for.
    error: Optional[JobError] = None
    #: Of `GAP`.
    gap: Optional[GapReason] = None
    #: The event as in `courant/v1/job.proto`. `None` for `SNAPSHOT`, `LIVE` and `GAP`.
    message: Optional[job_pb2.JobEvent] = None


def event_of(message: job_pb2.JobEvent, cursor: str) -> Event:
    """An event as it came."""
    name = message.WhichOneof("change")
    kind = EventType(name) if name else EventType.OTHER
    change: Any = getattr(message, name) if name else None
    return Event(
        kind,
        Job(message.job),
        cursor,
        message.revision,
        moment(message.event_time),
        page=change.page if kind is EventType.PAGE_FINISHED else None,
        export=export_of(change.export) if kind in (EventType.EXPORT_COMPLETED, EventType.EXPORT_FAILED) else None,
        format=_format(kind, change),
        output=output_of(change.output) if kind is EventType.OUTPUT_STORED else None,
        error=_error(kind, change),
        message=message,
    )


def gap_of(gap: job_service_pb2.WatchGap) -> Event:
    reason = from_wire(GapReason, gap.reason, job_service_pb2.GapReason)
    return Event(EventType.GAP, None, "", gap=reason)


def _format(kind: EventType, change: Any) -> Optional[ResultFormat]:
    if kind in (EventType.EXPORT_STARTED, EventType.EXPORT_PROGRESSED):
        return from_wire(ResultFormat, change.format, job_pb2.ResultFormat)
    if kind in (EventType.EXPORT_COMPLETED, EventType.EXPORT_FAILED):
        return from_wire(ResultFormat, change.export.format, job_pb2.ResultFormat)
    return None


def _error(kind: EventType, change: Any) -> Optional[JobError]:
    if kind in (EventType.FAILED, EventType.RETRYING) and change.HasField("error"):
        return job_error(change.error)
    return None
