"""What goes wrong, as exceptions. The class says what the caller can do about it, `reason` which rule it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping, Optional

if TYPE_CHECKING:
    from .jobs import Job


class CourantError(Exception):
    """Base of all errors of this package that are not mistakes in a call's arguments."""

    #: For people: what is wrong and what to do.
    message: str
    #: For programs: a name of `ErrorReason` in `courant/v1/error_reason.proto`, without its prefix. Empty where the server did not say.
    reason: str
    #: The gRPC status code, for example `NOT_FOUND`. Empty for errors of this side.
    code: str
    #: Seconds after which the same call may succeed. `None` where the server did not say.
    retry_after: Optional[float]
    #: Fields of the request that are wrong, with what is wrong with them.
    fields: Mapping[str, str]

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: str = "",
        retry_after: Optional[float] = None,
        fields: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code
        self.retry_after = retry_after
        self.fields = dict(fields or {})

    def __str__(self) -> str:
        return f"{self.message} [{self.reason}]" if self.reason else self.message


class InvalidRequest(CourantError):
    """The request is wrong and stays wrong: mend it. `fields` says where."""


class Unauthenticated(CourantError):
    """The token is missing, not valid here, or has run out."""


class PermissionDenied(CourantError):
    """The token's roles do not allow the call."""


class NotFound(CourantError):
    """There is no such thing, or it is somebody else's: both get the same answer."""


class Conflict(CourantError):
    """The state of the job does not allow the call, or the request id was used for another document."""


class LimitReached(CourantError):
    """Over a limit or a quota. `retry_after` says when it may be tried again, if that helps."""


class Unavailable(CourantError):
    """The server could not be reached, or could not answer, for as long as the call was tried."""


class ServerError(CourantError):
    """A fault of the server."""


class Corrupt(CourantError):
    """Bytes that arrived do not have the promised size and checksum."""


class WaitTimeout(CourantError, TimeoutError):
    """The job had not ended when the time to wait was over. It goes on."""


class JobFailed(CourantError):
    """The job has ended without success. `reason` is the code of its error, `job` all of it."""

    job: Job

    def __init__(self, job: Job) -> None:
        self.job = job
        error = job.error
        message = error.message if error else f"The job {job.id} was {job.state.value}."
        super().__init__(message, reason=error.code if error else job.state.value.upper())
