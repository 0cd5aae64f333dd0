"""How a worker behaves, checked once."""

from __future__ import annotations

import os
import re
import secrets
import socket
from dataclasses import dataclass

from .._version import VERSION

WORKER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
KIND = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True)
class Settings:
    """The arguments of `Worker` that its loop needs. Times in seconds."""

    worker_id: str
    slots: int
    software: str
    #: How long tasks may go on after a shutdown was asked for, before they are stopped and handed back.
    grace: float
    #: How long a stopped task, and the last reports at a shutdown, may take.
    stop_timeout: float
    #: The longest that an attempt may take.
    max_job_duration: float
    #: How long reading and writing are tried again while the server is away.
    patience: float

    def __post_init__(self) -> None:
        if not WORKER_ID.fullmatch(self.worker_id):
            raise ValueError(f"the worker id {self.worker_id!r} must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen")
        if not 1 <= self.slots <= 1024:
            raise ValueError(f"slots must be 1 to 1024, not {self.slots}")
        for name in ("stop_timeout", "max_job_duration", "patience"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0 seconds")
        if self.grace < 0:
            raise ValueError("grace must not be negative")


def check_kind(kind: str) -> str:
    if not KIND.fullmatch(kind):
        raise ValueError(f"the kind {kind!r} must be 1 to 64 of a-z, 0-9 and hyphen")
    return kind


def default_worker_id() -> str:
    """The host's name with a random part: unique, but another one after a restart."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:40] or "worker"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def default_software() -> str:
    return f"courant-python/{VERSION}"
