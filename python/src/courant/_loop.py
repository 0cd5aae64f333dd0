"""Event loops on threads of their own, so that programs without asyncio can use what is written for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
from types import TracebackType
from typing import Any, AsyncIterator, Coroutine, Generic, Iterator, Optional, Type, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop that runs on a thread until the program ends, or `stop`."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Starts a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine and waits for it. Not from the loop's own thread. An interrupt ends the coroutine, too."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("this call waits, and would hold up the thread that answers it; use AsyncClient here")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Ends what still runs on the loop, then the thread."""
        self.submit(_end_others()).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


_shared: Optional[LoopThread] = None
_shared_by = 0
_lock = threading.Lock()


def shared_loop() -> LoopThread:
    """The loop of all clients that wait. A child made by `fork` has none of its parent's threads and gets its own."""
    global _shared, _shared_by
    with _lock:
        if _shared is None or _shared_by != os.getpid():
            _shared, _shared_by = LoopThread("courant-client"), os.getpid()
        return _shared


class Iteration(Generic[T], Iterator[T]):
    """Walks through something asynchronous. Closed at its end, by `close`, or by `with`."""

    def __init__(self, loop: LoopThread, source: AsyncIterator[T]) -> None:
        self._loop = loop
        self._source = source

    def __next__(self) -> T:
        try:
            return self._loop.run(_next(self._source))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Ends it: a watch leaves the server. The same as leaving the loop and forgetting it."""
        self._loop.run(_close(self._source))

    def __enter__(self) -> Iteration[T]:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._loop.loop.is_running() and not sys.is_finalizing():
            self._loop.submit(_close(self._source))


async def _next(source: AsyncIterator[T]) -> T:
    return await source.__anext__()


async def _close(source: Any) -> None:
    await source.aclose()
