"""How a handler says that a job cannot be done, and how it hears that it must stop."""

from __future__ import annotations


class TaskError(Exception):
    """Why an attempt failed, as the owner of the job reads it. Use one of the two below."""

    retryable = False

    def __init__(self, code: str, message: str) -> None:
        """`code`: for programs, upper case, for example `PASSWORD_REQUIRED`. `message`: what happened and what to do about it."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class PermanentError(TaskError):
    """Trying again does not help: the job fails at once."""


class RetryableError(TaskError):
    """Trying again, later or elsewhere, may help: the job is queued again, until its attempts are used up."""

    retryable = True


class Stopped(BaseException):
    """The attempt must stop: the job was cancelled, its lease is lost, or the worker shuts down. Raised by the methods of a task.

    Like `asyncio.CancelledError` it is no `Exception`, so that a handler that catches those does not catch it by accident. Clean up and
    let it pass; nothing that the handler says afterwards counts.
    """


class WorkerRefused(Exception):
    """The server will not have this worker, and trying again cannot help; the message says why."""
