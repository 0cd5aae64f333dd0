"""Running handlers: functions each on a thread of its own, coroutines on the loop that serves the worker. Neither is the worker's own loop, so
that a handler that computes does not keep its lease from being renewed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from typing import Any, Awaitable, Callable, Optional, Union

from .._loop import LoopThread
from ._work import Work
from .aio_task import AsyncTask
from .task import Task

#: What does the work: a function or a coroutine function.
Function = Union[Callable[[Task], Any], Callable[[AsyncTask], Awaitable[Any]]]
#: How a handler ended: `None`, or what it raised.
Ended = Optional[BaseException]


class Run:
    """A handler under way. `ended` gets its result in any case, and only once nothing of it runs any more."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.ended: concurrent.futures.Future[Ended] = concurrent.futures.Future()

    def stop(self) -> None:
        """The attempt must stop."""

    def _end(self, ended: Ended) -> None:
        self._work.clean_up()
        self.ended.set_result(ended)


class ThreadRun(Run):
    """A function cannot be stopped from outside: its task raises `Stopped` at the next call. The thread does not keep the program from ending."""

    def __init__(self, function: Any, work: Work, task: Task) -> None:
        super().__init__(work)
        threading.Thread(target=self._run, args=(function, task), name=f"courant-{task.job_id}", daemon=True).start()

    def _run(self, function: Any, task: Task) -> None:
        ended: Ended = None
        try:
            function(task)
        except BaseException as error:
            ended = error
        self._end(ended)


class CoroutineRun(Run):
    """A coroutine is cancelled."""

    def __init__(self, function: Any, work: Work, task: AsyncTask, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(work)
        self._loop = loop
        self._task: Optional[asyncio.Task[Any]] = None
        self._stopped = False
        loop.call_soon_threadsafe(self._begin, function, task)

    def _begin(self, function: Any, task: AsyncTask) -> None:
        self._task = self._loop.create_task(function(task))
        self._task.add_done_callback(self._done)
        if self._stopped:
            self._task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._end(asyncio.CancelledError() if task.cancelled() else task.exception())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()


def is_coroutine(function: Any) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


def begin(function: Function, work: Work, loop: LoopThread, serving: asyncio.AbstractEventLoop) -> Run:
    """Starts a handler. `loop`: the worker's own. `serving`: where coroutines run."""
    if is_coroutine(function):
        return CoroutineRun(function, work, AsyncTask(work, loop), serving)
    return ThreadRun(function, work, Task(work, loop))
