"""Probes of the programs over HTTP: each state, and which of the three probes it shows in."""

import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import BIN, Up
from programs import Apart, Program, fetch, free_port, until

NATS = pathlib.Path(sys.prefix) / "bin/nats-server"


def states(get):
    """What startup, liveness and readiness say: three statuses, and the text of the last."""
    status, text = {}, ""
    for probe in ("startupz", "livez", "readyz"):
        status[probe], _, text = get(f"/{probe}")
    return (status["startupz"], status["livez"], status["readyz"]), text


def get_of(address):
    return lambda path: fetch(f"http://{address}{path}")


def on_nats(folder, port):
    """Flags of a server whose log is on a NATS server of this port, which may lose it: it has one disk."""
    key = folder / "key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    kept = ("--password-key-file", key, "--objects", f"file://{folder}/objects", "--log-replicas", "1", "--allow-lossy")
    return ("--data-dir", folder / "data", "--grpc", "127.0.0.1:0", "--log", f"nats://127.0.0.1:{port}", *kept)


@pytest.fixture
def apart(tmp_path):
    running = Apart(tmp_path)
    yield running
    running.stop()


def test_a_server_that_cannot_read_its_log_yet_lives_and_has_not_started(tmp_path):
    # Nobody listens there: the server waits, as it does while a large log is read.
    server = Program("courant-server", *on_nats(tmp_path, free_port()))
    try:
        until("the server to wait", lambda: any("NATS" in line for line in server.lines))
        statuses, text = states(server.get)
        assert statuses == (503, 200, 503) and "[-] started" in text, text
        assert "courant_started 0" in server.get("/metrics")[2]
    finally:
        server.stop()


def test_all_programs_pass_all_probes_when_all_is_well(apart):
    for program in apart.programs:
        statuses, text = until(f"{program.name} to be ready", lambda p=program: (s := states(p.get))[0][2] == 200 and s)
        assert statuses == (200, 200, 200), text
        assert "[-]" not in text


def test_without_its_server_a_bridge_and_a_worker_are_not_ready_and_live(apart):
    for program in apart.programs:
        until(f"{program.name} to be ready", lambda p=program: states(p.get)[0] == (200, 200, 200))
    apart.server.stop()
    for program in (apart.bridge, apart.worker):
        statuses, text = until(f"{program.name} to miss it", lambda p=program: (s := states(p.get))[0][2] == 503 and s)
        assert statuses == (200, 200, 503) and "[-] server" in text, text
        assert program.get("/readyz?exclude=server")[0] == 200


def test_a_store_that_is_away_takes_the_readiness_until_it_is_back(tmp_path):
    objects = tmp_path / "store"
    objects.mkdir()
    up = Up(tmp_path, ("--workers", "0", "--metrics-addr", "127.0.0.1:0", "--objects", f"file://{objects}"))
    try:
        address = (tmp_path / "log").read_text().split("metrics=")[1].split()[0]
        get = get_of(address)
        until("readiness", lambda: states(get)[0] == (200, 200, 200))
        # A file where the folder was: nothing can be written below it.
        objects.rename(tmp_path / "moved")
        objects.write_text("")
        statuses, text = until("the store to be missed", lambda: (s := states(get))[0][2] == 503 and s)
        assert statuses == (200, 200, 503) and "[-] objects" in text, text
        # The bridge in the same program says so of its server.
        assert get("/readyz?exclude=objects&exclude=server")[0] == 200
        objects.unlink()
        (tmp_path / "moved").rename(objects)
        until("readiness again", lambda: states(get)[0] == (200, 200, 200))
    finally:
        up.stop()


def test_a_draining_server_is_not_ready_and_lives(tmp_path):
    server = Program(
        "courant-server", "--data-dir", tmp_path / "data", "--grpc", "127.0.0.1:0", "--lame-duck", "60s"
    )
    try:
        until("readiness", lambda: states(server.get)[0] == (200, 200, 200))
        server.process.terminate()
        statuses, text = until("the drain", lambda: (s := states(server.get))[0][2] == 503 and s)
        assert statuses == (200, 200, 503) and "[-] drain" in text, text
    finally:
        server.stop()


def test_a_log_on_nats_that_goes_away_takes_the_readiness_and_not_the_life(tmp_path):
    port = free_port()
    nats = subprocess.Popen(
        [NATS, "--jetstream", "--store_dir", tmp_path / "nats", "--addr", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Program("courant-server", *on_nats(tmp_path, port))
    try:
        until("readiness", lambda: states(server.get)[0] == (200, 200, 200))
        nats.send_signal(signal.SIGSTOP)
        statuses, text = until("the log to be missed", lambda: (s := states(server.get))[0][2] == 503 and s)
        assert statuses == (200, 200, 503) and "[-] view" in text, text
        nats.send_signal(signal.SIGCONT)
        until("readiness again", lambda: states(server.get)[0] == (200, 200, 200))
    finally:
        nats.kill()
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="small disks are mounted by root alone")
def test_a_disk_without_space_takes_the_readiness(tmp_path):
    """A disk of its own, as large as a server needs, that is filled by somebody else."""
    script = (
        f"mount -t tmpfs -o size=48m none {tmp_path} && exec {BIN.with_name('courant-server')} --data-dir {tmp_path}/data"
        " --grpc 127.0.0.1:0 --metrics-addr 127.0.0.1:0"
    )
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no mounts of its own can be had here")
    server = Program("courant-server", command=["unshare", "-m", "sh", "-c", script])
    try:
        until("readiness", lambda: states(server.get)[0] == (200, 200, 200))
        ballast = f"/proc/{server.process.pid}/root{tmp_path}/ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], capture_output=True)
        statuses, text = until("the disk to be missed", lambda: (s := states(server.get))[0][2] == 503 and s)
        assert statuses == (200, 200, 503) and "[-] disk" in text, text
        os.remove(ballast)
        until("readiness again", lambda: states(server.get)[0] == (200, 200, 200))
    finally:
        server.stop()
