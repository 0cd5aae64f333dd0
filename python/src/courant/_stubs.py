"""The generated stubs of the two services that are used here. protoc writes no types for them."""

from __future__ import annotations

from typing import Any

import grpc.aio

from .v1.job_service_pb2_grpc import JobServiceStub
from .v1.worker_service_pb2_grpc import WorkerServiceStub


def job_service(channel: grpc.aio.Channel) -> Any:
    return JobServiceStub(channel)  # type: ignore[no-untyped-call]


def worker_service(channel: grpc.aio.Channel) -> Any:
    return WorkerServiceStub(channel)  # type: ignore[no-untyped-call]
