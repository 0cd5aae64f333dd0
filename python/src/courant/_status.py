"""From the status that a gRPC call ended with to an exception."""

from __future__ import annotations

from typing import Dict, Optional, Type, Union

import grpc
import grpc.aio

from ._wire import error_details_pb2 as wire
from .errors import (
    Conflict,
    CourantError,
    InvalidRequest,
    LimitReached,
    NotFound,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
)

Code = grpc.StatusCode

CLASSES: Dict[grpc.StatusCode, Type[CourantError]] = {
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.OUT_OF_RANGE: InvalidRequest,
    Code.UNIMPLEMENTED: InvalidRequest,
    Code.UNAUTHENTICATED: Unauthenticated,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.NOT_FOUND: NotFound,
    Code.ALREADY_EXISTS: Conflict,
    Code.FAILED_PRECONDITION: Conflict,
    Code.ABORTED: Conflict,
    Code.RESOURCE_EXHAUSTED: LimitReached,
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: Unavailable,
    Code.CANCELLED: Unavailable,
}
# Limits that pass by themselves within seconds. A quota does not.
PASSING_LIMITS = frozenset({"TOO_MANY"})
# What gRPC itself says of a connection that broke in the middle of a call.
BROKEN = ("rst_stream", "stream removed", "socket closed", "goaway", "broken pipe", "connection", "error from core")


def error_of(status: grpc.aio.AioRpcError) -> CourantError:
    """The exception for a status."""
    details = _details(status)
    message = status.details() or f"the call ended with {status.code().name}"
    kind = CLASSES.get(status.code(), ServerError)
    reason, retry_after, fields = "", None, {}
    for packed in details.details if details else ():
        info, retry, bad = wire.ErrorInfo(), wire.RetryInfo(), wire.BadRequest()
        name = packed.type_url.rpartition("/")[2]
        if name == "google.rpc.ErrorInfo":
            info.ParseFromString(packed.value)
            reason = info.reason
        elif name == "google.rpc.RetryInfo":
            retry.ParseFromString(packed.value)
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        elif name == "google.rpc.BadRequest":
            bad.ParseFromString(packed.value)
            fields = {violation.field: violation.description for violation in bad.field_violations}
    return kind(message, reason=reason, code=status.code().name, retry_after=retry_after, fields=fields)


def is_passing(status: grpc.aio.AioRpcError, error: CourantError) -> bool:
    """Whether the same call may succeed within seconds."""
    if isinstance(error, Unavailable):
        # A store that refuses the server needs its operator.
        return error.reason != "STORAGE_MISCONFIGURED"
    if error.reason in PASSING_LIMITS:
        return True
    # A connection that broke in the middle of an answer: a status that this side made up.
    made_up = status.code() in (Code.INTERNAL, Code.UNKNOWN) and not error.reason
    return made_up and any(word in error.message.lower() for word in BROKEN)


def _details(status: grpc.aio.AioRpcError) -> Optional[wire.Status]:
    for key, value in status.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return _parse(value)
    return None


def _parse(value: Union[str, bytes]) -> Optional[wire.Status]:
    try:
        return wire.Status.FromString(value if isinstance(value, bytes) else value.encode("latin-1"))
    except Exception:  # Somebody else's format: the code and the message are enough.
        return None
