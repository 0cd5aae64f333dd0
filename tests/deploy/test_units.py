"""The units of systemd: verified, locked down, and kept by programs that say when they are ready."""

import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from programs import BINARIES, PATIENCE, ROOT
from test_seccomp import Unit

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
MOST_EXPOSED = 2.0
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze of Debian's systemd")


def names(unit):
    return unit.stem


def test_each_program_that_runs_for_long_has_a_unit():
    assert [unit.stem for unit in UNITS] == ["courant-bridge", "courant-pdf-worker", "courant-server"]


@pytest.mark.parametrize("unit", UNITS, ids=names)
def test_a_unit_is_right_and_hardly_exposed(unit, tmp_path):
    # As installed, with the programs that were built.
    text = unit.read_text().replace("/usr/bin/", f"{BINARIES}/")
    installed = tmp_path / unit.name
    installed.write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", installed], capture_output=True, text=True
    )
    assert verified.returncode == 0 and not verified.stderr.strip(), verified.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", installed]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", shown)[1])
    assert exposure <= MOST_EXPOSED, shown


@pytest.mark.parametrize("unit", UNITS, ids=names)
def test_a_unit_leaves_a_program_the_time_that_it_takes(unit):
    settings = Unit(unit)
    program = settings.get("Service", "ExecStart")
    shown = subprocess.run(
        [BINARIES / pathlib.Path(program.split()[0]).name, "--help"], capture_output=True, text=True, check=True
    ).stdout
    drain = 0
    for flag in ("--lame-duck", "--drain-grace", "--drain ", "--grace-seconds"):
        after = shown.split(flag, 1)[1:]
        if after:
            drain += int(re.search(r"\[default: (\d+)s?\]", after[0])[1])
    assert 0 < drain + 10 <= int(settings.get("Service", "TimeoutStopSec").removesuffix("s"))
    assert settings.get("Service", "KillMode") == "mixed", "children would be ended before they are done"


def listen_for_notifications(folder):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(folder / "notify"))
    manager.settimeout(PATIENCE)
    return manager


def told(manager):
    return manager.recv(4096).decode().split("\n")[0]


def flags_of(program, secret, folder, up):
    return {
        "courant-server": ["--grpc", "127.0.0.1:0", "--data-dir", folder / "data", "--lame-duck", "0s"],
        "courant-bridge": ["--listen", "127.0.0.1:0", "--server", f"http://{up.grpc}", "--lame-duck", "0s"],
        "courant-pdf-worker": ["--server", f"http://{up.grpc}", "--ocr", "off"],
    }[program] + ["--secret-file", secret]


@pytest.mark.parametrize("unit", UNITS, ids=names)
def test_a_program_says_when_it_is_ready_and_when_it_stops(unit, start, without_workers, tmp_path):
    assert Unit(unit).get("Service", "Type") == "notify"
    manager = listen_for_notifications(tmp_path)
    secret = without_workers.data / "secret"
    flags = flags_of(unit.stem, secret, tmp_path, without_workers)
    program = start(BINARIES / unit.stem, *flags, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert told(manager) == "READY=1"
    program.process.send_signal(signal.SIGTERM)
    assert told(manager) == "STOPPING=1"
    assert program.process.wait(PATIENCE) == 0
