"""Workers: which handlers they have, and how they begin and end."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import Any, Callable, Dict, Iterable, List, Optional

from .._connection import Connection, Path, Tls, Token, TokenSource
from .._loop import LoopThread
from ..v1 import worker_service_pb2 as pb
from ._attempt import Attempt
from ._attempts import finish
from ._core import Core
from ._runs import Function, begin
from ._settings import Settings, check_kind, default_software, default_worker_id
from ._transfer import Transfer
from ._work import Work

log = logging.getLogger("courant.worker")


class Handler:
    """A function that does jobs of some kinds. `run` makes a worker of it; calling it calls the function, for tests."""

    def __init__(self, function: Function, kinds: Iterable[str]) -> None:
        self.function = function
        self.kinds = tuple(check_kind(kind) for kind in kinds)
        if not self.kinds:
            raise ValueError("name at least one kind of job to take")

    def __call__(self, task: Any) -> Any:
        return self.function(task)

    def run(self, url: str, **options: Any) -> None:
        """Works until SIGTERM or Ctrl-C. `options`: those of `Worker`."""
        Worker(url, [self], **options).run()


def worker(kind: str, *more_kinds: str) -> Callable[[Function], Handler]:
    """Makes a handler of a function, or of a coroutine function: `@courant.worker("words")`."""
    return lambda function: Handler(function, (kind, *more_kinds))


class Worker:
    """Takes jobs of its handlers' kinds and does them, `slots` at once.

    `url`, `token`, `token_file` and the files of TLS: as of `Client`; the token needs the role `worker`. `worker_id`: unique among workers;
    give one that stays the same over restarts, and a job of a worker that was killed is queued again as soon as it is back. Times in seconds.
    `grace`: how long jobs may go on after SIGTERM, before they are handed back. `stop_timeout`: how long a handler may take to stop.
    """

    def __init__(
        self,
        url: str,
        handlers: Iterable[Handler] = (),
        *,
        token: Optional[TokenSource] = None,
        token_file: Optional[Path] = None,
        ca_file: Optional[Path] = None,
        cert_file: Optional[Path] = None,
        key_file: Optional[Path] = None,
        worker_id: Optional[str] = None,
        slots: int = 1,
        software: Optional[str] = None,
        grace: float = 15.0,
        stop_timeout: float = 5.0,
        max_job_duration: float = 6 * 3600.0,
        patience: float = 60.0,
    ) -> None:
        self._settings = Settings(
            worker_id=worker_id or default_worker_id(),
            slots=slots,
            software=software or default_software(),
            grace=grace,
            stop_timeout=stop_timeout,
            max_job_duration=max_job_duration,
            patience=patience,
        )
        self._connection = Connection(url, Token(token, token_file), Tls(ca_file, cert_file, key_file))
        self._functions: Dict[str, Function] = {}
        for handler in handlers:
            self._add(handler)
        self._lock = threading.Lock()
        self._core: Optional[Core] = None
        self._loop: Optional[LoopThread] = None
        self._stopping = False

    @property
    def worker_id(self) -> str:
        return self._settings.worker_id

    @property
    def kinds(self) -> List[str]:
        return list(self._functions)

    @property
    def status(self) -> str:
        """`connecting`, `serving`, `draining` (nothing new comes) or `stopping`. For health checks: a worker that connects is not ready."""
        core = self._core
        return core.status if core is not None else "connecting"

    def handler(self, kind: str, *more_kinds: str) -> Callable[[Function], Function]:
        """Adds a function, or a coroutine function, that does jobs of these kinds: `@worker.handler("words")`."""

        def add(function: Function) -> Function:
            self._add(Handler(function, (kind, *more_kinds)))
            return function

        return add

    def _add(self, handler: Handler) -> None:
        for kind in handler.kinds:
            if kind in self._functions:
                raise ValueError(f"the kind {kind!r} has two handlers")
            self._functions[kind] = handler.function

    def run(self) -> None:
        """Works until SIGTERM or Ctrl-C, or `stop` of another thread. Errors: `WorkerRefused`."""
        asyncio.run(self._run_with_signals())

    async def _run_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._signalled, number)
            except (NotImplementedError, ValueError, RuntimeError):
                pass  # Windows, or not the main thread: `stop` is left.
        await self.serve()

    def _signalled(self, number: signal.Signals) -> None:
        """The first asks to stop, the second ends the program."""
        asyncio.get_running_loop().remove_signal_handler(number)
        self.stop()

    async def serve(self) -> None:
        """Works until `stop`; coroutine handlers run on this loop. Never gives up because the server is away. When it is cancelled, jobs under
        way are left to their leases. Errors: `WorkerRefused`."""
        if not self._functions:
            raise ValueError("the worker has no handler")
        serving = asyncio.get_running_loop()
        loop = LoopThread("courant-worker")
        try:
            await asyncio.wrap_future(loop.submit(self._serve(loop, serving)))
        finally:
            with self._lock:
                self._core = self._loop = None
            await asyncio.to_thread(loop.stop)

    async def _serve(self, loop: LoopThread, serving: asyncio.AbstractEventLoop) -> None:
        """On the worker's own loop."""

        def start(core: Core, assignment: pb.Assignment) -> Attempt:
            return self._start(core, assignment, loop, serving)

        core = Core(self._settings, self.kinds, self._connection, start)
        with self._lock:
            self._core, self._loop = core, loop
            if self._stopping:
                core.drain()
        try:
            await core.serve()
        finally:
            await self._connection.close()

    def _start(
        self, core: Core, assignment: pb.Assignment, loop: LoopThread, serving: asyncio.AbstractEventLoop
    ) -> Attempt:
        attempt = Attempt(assignment.attempt, core.wake)
        transfer = Transfer(self._connection, attempt, self._settings.patience, assignment.traceparent)
        work = Work(attempt, assignment, transfer, core.limits)
        run = begin(self._functions[assignment.kind], work, loop, serving)
        core.keep(asyncio.ensure_future(finish(core, attempt, run)))
        return attempt

    def stop(self) -> None:
        """Takes no new jobs. Those under way have `grace` seconds; then they are handed back. From any thread; `run` returns when all is done."""
        with self._lock:
            self._stopping = True
            if self._core is not None and self._loop is not None:
                self._loop.loop.call_soon_threadsafe(self._core.drain)
