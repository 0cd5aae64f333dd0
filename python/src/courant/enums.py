"""Choices of the API, as strings that read well. Each converts from and to its number on the wire."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Type, TypeVar, Union

from .v1 import job_pb2

E = TypeVar("E", bound="WireEnum")


class WireEnum(str, Enum):
    """An enum whose members have a number of a proto's enum."""

    def __str__(self) -> str:
        return str(self.value)


class JobState(WireEnum):
    """The life of a job."""

    #: Waits in its lane, or for its next attempt.
    QUEUED = "queued"
    RUNNING = "running"
    #: A cancel was asked for; the worker is being stopped.
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Of a newer server.
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Lane(WireEnum):
    """The queue that a job waits in."""

    PREMIUM = "premium"
    NORMAL = "normal"
    LARGE = "large"
    UNKNOWN = "unknown"


class Stage(WireEnum):
    """Where an attempt is."""

    QUEUED = "queued"
    ANALYSE = "analyse"
    EXTRACT = "extract"
    MERGE = "merge"
    EXPORT = "export"
    DONE = "done"
    UNKNOWN = "unknown"


class ResultFormat(WireEnum):
    """The format of a result. The values are the endings of its files."""

    JSON = "json"
    MARKDOWN = "md"
    TEXT = "txt"
    HTML = "html"
    UNKNOWN = "unknown"


class ExportState(WireEnum):
    """The state of one result."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class GapReason(WireEnum):
    """Why a watch could not go on where it was."""

    #: Events after the cursor are no longer kept.
    HISTORY_TRIMMED = "history_trimmed"
    #: The log was replaced, or a backup put back.
    LOG_REPLACED = "log_replaced"
    UNKNOWN = "unknown"


# The prefix of each enum's names in the protos.
_PREFIXES: Dict[Type[WireEnum], str] = {
    JobState: "JOB_STATE_",
    Lane: "LANE_",
    Stage: "STAGE_",
    ResultFormat: "RESULT_FORMAT_",
    ExportState: "EXPORT_STATE_",
    GapReason: "GAP_REASON_",
}


def from_wire(kind: Type[E], number: int, names: Any) -> E:
    """The member for a number; `names` is the enum of the stubs. What is not known is `UNKNOWN`."""
    name = names.Name(number) if number in names.values() else ""
    try:
        return kind[name[len(_PREFIXES[kind]) :]]
    except KeyError:
        return kind["UNKNOWN"]


def to_wire(member: WireEnum, names: Any) -> Any:
    """The number of a member."""
    return names.Value(_PREFIXES[type(member)] + member.name)


def result_format(format: Union[str, ResultFormat]) -> ResultFormat:
    """A format by its ending (`md`) or its name (`markdown`)."""
    return _choose(ResultFormat, format)


def lane(name: Union[str, Lane]) -> Lane:
    """A lane by its name."""
    return _choose(Lane, name)


def job_state(name: Union[str, JobState]) -> JobState:
    """A state by its name."""
    return _choose(JobState, name)


def format_number(format: Union[str, ResultFormat]) -> job_pb2.ResultFormat:
    number: job_pb2.ResultFormat = to_wire(result_format(format), job_pb2.ResultFormat)
    return number


def _choose(kind: Type[E], given: Union[str, E]) -> E:
    for member in kind:
        if member.name != "UNKNOWN" and str(given).lower() in (member.value, member.name.lower()):
            return member
    names = ", ".join(member.value for member in kind if member.name != "UNKNOWN")
    raise ValueError(f"{str(given)!r} is no {kind.__name__}; it is one of {names}")
