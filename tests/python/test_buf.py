"""`buf curl` knows nothing of our protos: it asks the server (reflection)."""

import json
import subprocess

import pytest

from conftest import PATIENCE, ROOT, SAMPLE

BUF = ROOT / "tests/node_modules/.bin/buf"


def curl(*arguments):
    done = subprocess.run(
        [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("reflection", ["grpc-v1", "grpc-v1alpha"])
def test_services_are_listed(up, reflection):
    services = curl("--reflect-protocol", reflection, "--list-services", f"http://{up.grpc}").split()
    assert {"courant.v1.JobService", "courant.v1.WorkerService", "grpc.health.v1.Health"} <= set(services)


def test_jobs_are_listed_and_read(up):
    job = up.courant("submit", "--user", "buf", str(SAMPLE))
    token = ("--header", f"authorization: Bearer {up.token('buf')}")
    service = f"http://{up.grpc}/courant.v1.JobService"
    listed = json.loads(curl(*token, "--data", "{}", f"{service}/ListJobs"))
    assert [found["jobId"] for found in listed["jobs"]] == [job]
    read = json.loads(curl(*token, "--data", json.dumps({"job_id": job}), f"{service}/GetJob"))
    assert read["job"]["filename"] == SAMPLE.name


def test_health_is_open(up):
    answer = curl("--data", "{}", f"http://{up.grpc}/grpc.health.v1.Health/Check")
    assert json.loads(answer)["status"] == "SERVING"
