"""An attempt from its assignment to its last report, on the worker's loop."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, List, Optional

from .. import errors
from ._attempt import Attempt, Stop
from ._core import Core
from ._runs import Ended, Run
from .errors import PermanentError, RetryableError, Stopped, TaskError

log = logging.getLogger("courant.worker")


async def finish(core: Core, attempt: Attempt, run: Run) -> None:
    """Waits for the handler, stops it when it must stop, and queues the last report."""
    settings = core.settings
    ended = await _until_ended(core, attempt, run)
    error = task_error(ended)
    if error is not None and attempt.stop_reason is None:
        level = logging.WARNING if isinstance(ended, TaskError) else logging.ERROR
        log.log(level, "job %s failed: %s", attempt.key[0], error, exc_info=None if isinstance(ended, TaskError) else ended)
    else:
        log.info("job %s ended, attempt %d: %s", *attempt.key[:2], attempt.stop_reason.value if attempt.stop_reason else "succeeded")
    attempt.end(error, settings.max_job_duration)


async def _until_ended(core: Core, attempt: Attempt, run: Run) -> Ended:
    """How the handler ended. One that does not end soon after it was told to is left alone."""
    settings = core.settings
    ended = asyncio.wrap_future(run.ended)
    stopped = asyncio.ensure_future(attempt.stopped.wait())
    released = asyncio.ensure_future(core.released.wait())
    try:
        waited: List[asyncio.Future[Any]] = [ended, stopped, released]
        await asyncio.wait(waited, timeout=settings.max_job_duration, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        if not stopped.done():
            attempt.stop(Stop.RELEASED if released.done() else Stop.TIMED_OUT)
        run.stop()
        await asyncio.wait([ended], timeout=settings.stop_timeout)
        if ended.done():
            return ended.result()
        log.warning("the handler of job %s did not stop in time; its job is over, but it still runs", attempt.key[0])
        return Stopped()
    finally:
        stopped.cancel()
        released.cancel()


def task_error(ended: Ended) -> Optional[TaskError]:
    """What the owner of the job reads of what a handler raised."""
    if ended is None or isinstance(ended, TaskError):
        return ended
    if isinstance(ended, (Stopped, asyncio.CancelledError)):
        return RetryableError("STOPPED", "The attempt was stopped.")
    message = f"The worker could not talk to the server: {ended}"
    if isinstance(ended, errors.Unavailable):
        return RetryableError("SERVER_UNAVAILABLE", message)
    if isinstance(ended, errors.ServerError):
        return RetryableError("SERVER_FAILED", message)
    if isinstance(ended, errors.Corrupt):
        return RetryableError("CHECKSUM_MISMATCH", message)
    if isinstance(ended, errors.LimitReached):
        return PermanentError("RESULT_TOO_LARGE", message)
    if isinstance(ended, errors.CourantError):
        return PermanentError("SERVER_REFUSED", message)
    # What it says stays in the worker's log: it may have parts of the document in it.
    return RetryableError("WORKER_FAULT", f"The worker had a fault of its own while doing this job: {type(ended).__name__}.")
