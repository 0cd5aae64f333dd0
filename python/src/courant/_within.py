"""Waiting with a limit."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, Coroutine, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is cancelled after so many seconds: then it raises `asyncio.TimeoutError`.

    Not `asyncio.wait_for`: before Python 3.12 that forgets that it was cancelled, if its work is done at the same moment.
    """
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.wait([doing], timeout=None if seconds == inf else max(0.0, seconds))
        if doing.done():
            return doing.result()
        raise asyncio.TimeoutError
    finally:
        doing.cancel()
