#!/usr/bin/env python3
"""Makes the fixtures of tests/fixtures/formats for a format that has none yet. One that is there is never made again.

    COURANT_BIN=… tests/.venv/bin/python tests/operations/make_formats.py
"""

import json
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile

import conftest  # Makes the next ones be found.
from conftest import LONG, ROOT
from programs import until
from system import System
from test_nats_away import Nats

FORMATS = ROOT / "tests/fixtures/formats"
SEALED = ROOT / "tests/fixtures/pdf/mit/password-usersecret-aes256.pdf"
SMALL = ROOT / "tests/fixtures/pdf/mit/japanese.pdf"
TWO_COLUMNS = conftest.SAMPLE


def live(system, folder):
    """Jobs of all kinds of ends, and one that waits with its password. Gives back what a later version must find."""
    worker = system.worker()
    # Its document lies in the log, that of the second beside it.
    jobs = {path.name: system.submit(path, batchId="a-batch", name=path.name) for path in (SMALL, TWO_COLUMNS)}
    for path in (SMALL, TWO_COLUMNS):
        system.succeeds(jobs[path.name], path)
    jobs["broken"] = system.submit(ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/invalid.pdf")
    until("the broken one to end", lambda: system.job(jobs["broken"])["endTime"])
    jobs["cancelled"] = system.submit(LONG, kind="nobody")
    assert system.ask(f"/v1/jobs/{jobs['cancelled']}:cancel", b"", "POST")[0] == 200
    until("the worker to end", lambda: worker.process.send_signal(signal.SIGTERM) or worker.process.poll() is not None)
    password = folder / "password"
    password.write_text("usersecret")
    made = ("--user", "alice", "--password-file", password, "--server", system.url, "--token", system.user)
    jobs["sealed"] = system.courant("submit", SEALED, *made).stdout.strip()
    return {
        "jobs": {name: facts(system.job(job)) for name, job in jobs.items()},
        "cursors": {name: system.cursors[job] for name, job in jobs.items() if job in system.cursors},
        "events": {name: events(system, job, system.cursors[job]) for name, job in jobs.items() if job in system.cursors},
        "notifications": notifications(system),
    }


FACTS = (
    "jobId documentId batchId owner kind filename documentBytes documentSha256 lane labels state progress pagesDone pagesTotal"
    " zonesTotal attempt maxAttempts attempts result error warnings createTime startTime endTime"
).split()


def facts(job):
    return {name: job[name] for name in FACTS}


def events(system, job, cursor):
    """The job's history after a cursor: what happened, and under which revision."""
    how = ("--json", "--after", cursor, "--server", system.url, "--token", system.user)
    found = [json.loads(line) for line in system.courant("watch", job, *how, check=False).stdout.splitlines()]
    return [[message["type"], message["revision"]] for message in found if message.get("cursor") and "revision" in message]


def notifications(system):
    listed = json.loads(system.ask("/v1/notifications")[2])["notifications"]
    return [[one["id"], one["title"], one["jobId"]] for one in listed]


def stop(system):
    """Ends in good order: what is left is what a server leaves."""
    for program in reversed(system.programs):
        program.process.terminate()
        program.process.wait()


def pack(folder, names, target):
    command = ["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-C", folder, "-cJf", target, *names]
    subprocess.run(command, check=True)


def make_data_folder(folder):
    system = System(folder)
    system.server()
    system.bridge()
    found = live(system, folder)
    stop(system)
    shutil.copy(system.secret, folder / "data/secret")
    pack(folder, ["data"], FORMATS / "data-folder-1.tar.xz")
    (FORMATS / "data-folder-1.json").write_text(json.dumps(found, indent=1) + "\n")


def make_stream(folder):
    nats, system = Nats(folder / "nats"), System(folder)
    key = folder / "password.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    system.server(*on_nats(nats, folder))
    system.bridge()
    found = live(system, folder)
    stop(system)
    nats.process.terminate()
    nats.process.wait()
    pack(folder, ["nats", "objects", "secret", "password.key", "data"], FORMATS / "stream-1.tar.xz")
    (FORMATS / "stream-1.json").write_text(json.dumps(found, indent=1) + "\n")


def on_nats(nats, folder):
    log = ("--log", f"nats://127.0.0.1:{nats.port}", "--log-replicas", "1", "--allow-lossy")
    return (*log, "--objects", f"file://{folder}/objects", "--password-key-file", folder / "password.key")


if __name__ == "__main__":
    for name, make in {"data-folder-1": make_data_folder, "stream-1": make_stream}.items():
        if not (FORMATS / f"{name}.tar.xz").exists():
            with tempfile.TemporaryDirectory() as made_in:
                make(pathlib.Path(made_in))
