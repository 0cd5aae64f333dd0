"""The example worker of the README does real jobs."""

import os
import pathlib
import subprocess
import sys

from conftest import clean_environment


def test_a_worker_in_python_does_a_job(up, stubs, tmp_path):
    document = tmp_path / "words.txt"
    document.write_text("au courant with every job")
    folder = str(pathlib.Path(stubs.job_pb2.__file__).parents[2])
    worker = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name("worker.py"), up.grpc, up.token("counter", "worker")],
        env={**clean_environment(), "PYTHONPATH": os.pathsep.join([folder])},
    )
    try:
        told = up.courant("submit", "--kind", "words", "--watch", str(document))
        assert "succeeded" in told
        assert up.courant("result", told.split()[0], "--format", "txt") == "5 words"
    finally:
        worker.kill()
        worker.wait()
