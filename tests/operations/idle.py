#!/usr/bin/env python3
"""What programs that do nothing take: the table in docs/capacity.md. COURANT_BIN=… tests/.venv/bin/python tests/operations/idle.py [SECONDS]"""

import os
import pathlib
import secrets
import sys
import tempfile
import time

import conftest  # noqa: F401 Makes the next ones be found.
from system import System
from test_nats_away import Nats

TICKS = os.sysconf("SC_CLK_TCK")


def lines_of(path):
    """The numbers in a file of `name: number` lines, of /proc."""
    found = {}
    for line in pathlib.Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0]) if value.split() and value.split()[0].isdigit() else 0
    return found


def sample(process):
    """Processor seconds, KiB in RAM, KiB of its own, threads and wake-ups of a process."""
    folder = pathlib.Path(f"/proc/{process}")
    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    status = lines_of(folder / "status")
    woken = sum(lines_of(task / "status")["voluntary_ctxt_switches"] for task in (folder / "task").iterdir())
    return (int(fields[11]) + int(fields[12])) / TICKS, status["VmRSS"], status["RssAnon"], status["Threads"], woken


def main(seconds):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        system, nats = System(folder), Nats(folder / "nats")
        try:
            key = folder / "password.key"
            key.write_text(secrets.token_hex(32))
            key.chmod(0o600)
            log = ("--log", f"nats://127.0.0.1:{nats.port}", "--log-replicas", "1", "--allow-lossy")
            shared = ("--objects", f"file://{folder}/objects", "--password-key-file", key)
            own = ("--grpc", "127.0.0.1:0", "--data-dir", folder / "other", "--secret-file", system.secret)
            up = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", folder / "up", "--workers", "2")
            programs = {
                "courant-server, log in a folder": system.server(),
                "courant-server, log on NATS": system.start("courant-server", *own, *log, *shared),
                "courant-bridge": system.bridge(),
                "courant-pdf-worker, 2 slots": system.worker(),
                "courant up, 2 workers": system.start("up", *up),
            }
            processes = {name: program.process.pid for name, program in programs.items()} | {"nats-server": nats.process.pid}
            # Until what is done once after a start is done.
            time.sleep(min(20, seconds))
            before = {name: sample(process) for name, process in processes.items()}
            time.sleep(seconds)
            print(f"| program | processor time in {seconds} s | of a core | memory | of it own | threads | wake-ups a second |")
            for name, process in processes.items():
                (cpu, *_, woken), now = before[name], sample(process)
                used = now[0] - cpu
                memory = f"{now[1] / 1024:.0f} MiB | {now[2] / 1024:.0f} MiB | {now[3]}"
                print(f"| {name} | {used:.2f} s | {100 * used / seconds:.2f} % | {memory} | {(now[4] - woken) / seconds:.0f} |")
        finally:
            system.stop()
            nats.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
