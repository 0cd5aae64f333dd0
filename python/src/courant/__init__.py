"""Courant runs document jobs and tells everyone how they stand. This package has its client, and what workers are built on.

`Client` and `AsyncClient` submit jobs, follow and read them. `worker` makes a worker of a function. `courant.v1` has the API itself, generated from
its protos, for what these do not cover.
"""

import os
import sys

if sys.version_info < (3, 10):
    # There `subprocess` forks, and what gRPC does in the child may end it before it becomes another program.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from ._loop import Iteration
from ._version import VERSION as __version__
from ._worker.aio_task import AsyncTask
from ._worker.errors import PermanentError, RetryableError, Stopped, TaskError, WorkerRefused
from ._worker.task import Task
from ._worker.worker import Handler, Worker, worker
from ._worker.zones import zone
from .aio import AsyncClient
from .client import Client
from .enums import ExportState, GapReason, JobState, Lane, ResultFormat, Stage
from .errors import (
    Conflict,
    Corrupt,
    CourantError,
    InvalidRequest,
    JobFailed,
    LimitReached,
    NotFound,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
    WaitTimeout,
)
from .events import Event, EventType
from .jobs import Export, Job, JobError, Output

__all__ = [
    "AsyncClient",
    "AsyncTask",
    "Client",
    "Conflict",
    "Corrupt",
    "CourantError",
    "Event",
    "EventType",
    "Export",
    "ExportState",
    "GapReason",
    "Handler",
    "InvalidRequest",
    "Iteration",
    "Job",
    "JobError",
    "JobFailed",
    "JobState",
    "Lane",
    "LimitReached",
    "NotFound",
    "Output",
    "PermanentError",
    "PermissionDenied",
    "ResultFormat",
    "RetryableError",
    "ServerError",
    "Stage",
    "Stopped",
    "Task",
    "TaskError",
    "Unauthenticated",
    "Unavailable",
    "WaitTimeout",
    "Worker",
    "WorkerRefused",
    "__version__",
    "worker",
    "zone",
]
