"""What is shipped to run Courant: manifests, units, the container file, packages. The programs are those that were built."""

import os

import pytest

from programs import Program, Up


@pytest.fixture
def start():
    running = []

    def start(*command, environment=None):
        running.append(Program(command, environment))
        return running[-1]

    yield start
    for program in reversed(running):
        program.stop()


@pytest.fixture(scope="session")
def without_workers(tmp_path_factory):
    """A service whose jobs wait for the workers of tests."""
    running = Up(tmp_path_factory.mktemp("service"), flags=("--workers", "0"))
    yield running
    running.stop()


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text(os.urandom(32).hex())
    file.chmod(0o600)
    return file


@pytest.fixture
def folder(tmp_path):
    """With a good secret, one that others can read, one that is too short, and a text."""
    for name, text, mode in [
        ("secret", "s" * 64, 0o600),
        ("open", "s" * 64, 0o644),
        ("short", "short", 0o600),
        ("text", "text", 0o600),
    ]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/letter.txt").write_text("Dear")
    return tmp_path
