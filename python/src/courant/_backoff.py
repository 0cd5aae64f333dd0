"""Waits between tries: longer each time, and by a random part, so that not all come back at once."""

from __future__ import annotations

import random


class Backoff:
    """Waits that double from `first` to `last` seconds, each of them between half of that and all of it."""

    def __init__(self, first: float = 0.1, last: float = 5.0) -> None:
        self._first = first
        self._last = last
        self._next = first

    def pause(self) -> float:
        """The next wait in seconds."""
        wait = self._next
        self._next = min(self._last, wait * 2)
        return wait * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Something worked: begin with short waits again."""
        self._next = self._first
