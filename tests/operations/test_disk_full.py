"""The disk of the log and of the documents is full (docs/runbook.md, "The disk is full")."""

import json
import os
import shutil
import subprocess

import pytest

from system import lacks, logs, metric, ready

ROOM = "size=48m"


def can_mount():
    return os.geteuid() == 0 and shutil.which("unshare") and not subprocess.run(["unshare", "-m", "true"]).returncode


@pytest.mark.skipif(not can_mount(), reason="small disks are mounted by root alone")
def test_submits_are_refused_until_there_is_space_and_jobs_are_kept(system):
    data = system.folder / "data"
    data.mkdir()
    mount = f'mount -t tmpfs -o {ROOM} none {data} && exec "$@"'
    server = system.server(within=["unshare", "-m", "sh", "-c", mount, "sh"])
    system.bridge()
    before, unwanted = system.submit(), system.submit(kind="nobody")
    worker = system.worker()
    system.succeeds(before)
    waits = system.submit(kind="nobody")

    ballast = f"/proc/{server.process.pid}/root{data}/ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], capture_output=True)
    lacks(server, "disk")
    assert metric(server, "courant_disk_free_bytes") / metric(server, "courant_disk_size_bytes") < 0.1
    # Larger documents lie beside the log: they are refused at once. Smaller ones are in it, which has some space of its own.
    assert system.refused() == (507, "STORAGE_FULL", True)
    kept = [waits]
    while (taken := system.ask("/v1/jobs?kind=nobody", bytes(60_000)))[0] in (200, 201):
        kept.append(json.loads(taken[2])["job"]["jobId"])
    assert (taken[0], json.loads(taken[2])["code"]) == (507, "STORAGE_FULL")
    logs(server, "the disk of the log is full: nothing is appended until there is space again")
    lacks(server, "log")
    # What is there is read, and space that was kept for it lets a job be cancelled.
    system.succeeds(before)
    assert system.ask(f"/v1/jobs/{unwanted}:cancel", b"", "POST")[0] == 200
    assert system.job(unwanted)["state"] == "cancelled"

    os.remove(ballast)
    ready(server)
    after = system.submit()
    system.succeeds(after)
    assert {system.job(job)["state"] for job in kept} == {"queued"} and system.job(unwanted)["state"] == "cancelled"
    assert metric(server, "courant_jobs", state="queued") == len(kept)
    assert worker.process.poll() is None
