"""Faults that an operator meets, played on the real programs: what they show meanwhile, and that nothing is lost."""

import importlib.util
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / "tests/python"


def of_python_tests():
    """What the tests of foreign clients have: its name is that of this file."""
    spec = importlib.util.spec_from_file_location("python_conftest", PYTHON / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_shared = of_python_tests()
BIN, BUCKET, LONG, PATIENCE, SAMPLE, clean_environment, store = (
    _shared.BIN,
    _shared.BUCKET,
    _shared.LONG,
    _shared.PATIENCE,
    _shared.SAMPLE,
    _shared.clean_environment,
    _shared.store,
)
# Certificates, programs and faulty stores are those of these tests, too.
sys.path.append(str(PYTHON))


@pytest.fixture
def system(tmp_path):
    from system import System

    running = System(tmp_path)
    yield running
    running.stop()
