"""NATS is gone and comes back (docs/runbook.md, "NATS is away")."""

import json
import pathlib
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from conftest import SAMPLE
from documents import many_pages
from programs import free_port, until
from system import lacks, logs, metric, ready

NATS = pathlib.Path(sys.prefix) / "bin/nats-server"
# So many that a worker is in the middle of them for a while.
PAGES = 500


class Nats:
    """A NATS server that keeps what it has when it is killed."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.start()

    def start(self):
        command = [NATS, "--jetstream", "--store_dir", self.folder, "--addr", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("NATS to listen", self.listens)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except ConnectionRefusedError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()


def test_what_was_acknowledged_is_kept_and_work_goes_on_where_it_was(system, tmp_path):
    nats = Nats(tmp_path / "nats")
    try:
        play(system, nats, tmp_path)
    finally:
        nats.kill()


def play(system, nats, folder):
    key = folder / "password.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    log = ("--log", f"nats://127.0.0.1:{nats.port}", "--log-replicas", "1", "--allow-lossy")
    server = system.server(*log, "--objects", f"file://{folder}/objects", "--password-key-file", key)
    bridge = system.bridge()
    worker = system.worker()
    ready(bridge)
    large = many_pages(folder / "large.pdf", PAGES)
    running, waits = system.submit(large), system.submit(kind="nobody")
    until("pages of it", lambda: system.job(running)["pagesDone"] > 3)

    nats.kill()
    lacks(server, "view")
    logs(server, "NATS is away; trying to reach it")
    logs(server, "not ready: the log cannot be followed; what is known is served")
    assert system.job(waits)["state"] == "queued"
    # A submit waits for NATS, and is safe to repeat when its answer is that nobody knows.
    repeatable = {"kind": "nobody", "requestId": "during-the-outage"}
    during = threading.Thread(target=system.ask, args=("/v1/jobs?" + urllib.parse.urlencode(repeatable), b"text"))
    during.start()
    lacks(bridge, "server")
    # A restart would not bring NATS back.
    assert all(program.get("/livez")[0] == 200 for program in (server, bridge, worker))
    # Who comes now does not wait as long: it is known that NATS is away, and that nothing was taken.
    began = time.monotonic()
    command = ("submit", "--server", system.url, "--token", system.user, "--give-up-after", "1s", SAMPLE)
    late = system.courant(*command, check=False)
    assert late.returncode == 1 and "nothing was changed; try again (STORAGE_UNAVAILABLE)" in late.stderr, late.stderr
    assert time.monotonic() - began < 15

    nats.start()
    for program in (server, bridge, worker):
        ready(program)
    logs(server, "ready again: the log is followed")
    assert system.succeeds(running, large)["attempt"] == 1
    assert system.pages(running) == list(range(1, PAGES + 1))
    during.join()
    again = [json.loads(system.ask("/v1/jobs?" + urllib.parse.urlencode(repeatable), b"text")[2]) for _ in range(2)]
    assert again[0]["job"]["jobId"] == again[1]["job"]["jobId"]
    assert metric(server, "courant_jobs", state="queued") == 2, "the one that waits, and the one of the outage"
    assert system.job(waits)["state"] == "queued"
    system.succeeds(system.submit())
