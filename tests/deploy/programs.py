"""The programs that were built, running and not."""

import importlib.util
import os
import pathlib
import re
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def of_python_tests():
    """What the tests of foreign clients have: its name is that of the file of fixtures here."""
    spec = importlib.util.spec_from_file_location("python_conftest", ROOT / "tests/python/conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SHARED = of_python_tests()
BIN, PATIENCE, SAMPLE, Up, clean_environment = (
    SHARED.BIN,
    SHARED.PATIENCE,
    SHARED.SAMPLE,
    SHARED.Up,
    SHARED.clean_environment,
)
BINARIES = BIN.parent
PROGRAMS = ["courant", "courant-server", "courant-bridge", "courant-pdf-worker"]
SCAN = ROOT / "tests/fixtures/pdf/gfdl-or-cc-by-sa-3.0/scan.pdf"


class Program:
    """A running program whose log is read line by line."""

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            list(map(str, command)),
            env=clean_environment() | (environment or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines, self.more = [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            with self.more:
                self.lines.append(line)
                self.more.notify_all()
        with self.more:
            self.lines.append(None)
            self.more.notify_all()

    def wait_for(self, pattern):
        """The first line of the log that matches, as what its pattern finds."""
        found = None

        def is_there():
            nonlocal found
            found = next((match for line in self.lines if line and (match := re.search(pattern, line))), None)
            return found or None in self.lines

        with self.more:
            self.more.wait_for(is_there, PATIENCE)
        assert found, f"no line {pattern!r} in:\n{self.log()}"
        return found

    def log(self):
        return "".join(line for line in self.lines if line)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def needs_root():
    return pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
