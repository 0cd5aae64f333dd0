"""The commands of the documents for operators that are marked for it are run, in order, against real programs."""

import os
import re
import subprocess

import pytest

from conftest import BIN, PATIENCE, ROOT, SAMPLE, clean_environment

BLOCK = re.compile(r"^```sh test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    return BLOCK.findall((ROOT / f"docs/{page}.md").read_text())


def run(script, folder, **variables):
    path = os.pathsep.join([str(BIN.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", "set -xeuo pipefail\n" + script],
        cwd=folder,
        env=clean_environment() | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_who_looks_first_sees_the_job_that_waits_and_why_nothing_is_missing(system):
    (script,) = blocks("runbook")
    server = system.server()
    system.bridge()
    system.worker("eager")
    system.succeeds(system.submit())
    failed = system.submit(ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/invalid.pdf")
    with pytest.raises(AssertionError, match="'state': 'failed'"):
        system.succeeds(failed)
    script = script.replace("https://SERVER:50051", system.url).replace("SERVER:9101", server.metrics)
    shown = run(script, system.folder, ADMIN=system.token("operator", "admin"))
    for said in ("[+] log", "ok", "eager", failed, 'courant_condition{condition="disk"} 1'):
        assert said in shown, said


def test_an_upgrade_begins_with_a_backup_that_one_can_go_back_to(system):
    (system.folder / "courant-data").mkdir(mode=0o700)
    system.server("--data-dir", system.folder / "courant-data")
    system.bridge()
    job = system.submit(kind="nobody")
    first, *_ = commands = blocks("upgrading")
    assert len(commands) == 2 and "courant backup" in first
    run("".join(commands), system.folder)
    system.stop()
    # What a rollback finds.
    system.programs.clear()
    system.server("--data-dir", system.folder / "as-it-was")
    system.bridge()
    assert system.job(job)["state"] == "queued"
    assert system.ask(f"/v1/jobs/{job}/document")[2] == SAMPLE.read_bytes()


def test_certificates_are_made_and_the_programs_take_them(system):
    script = "".join(blocks("tls-and-identity"))
    assert script.count("openssl") >= 5
    run(script, system.folder)
    system.trust = system.folder / "ca.pem"
    folder = system.folder
    tls = ("--tls-cert", folder / "server.pem", "--tls-key", folder / "server.key")
    system.server(*tls, "--tls-client-ca", folder / "ca.pem")
    client = ("--server-ca", folder / "ca.pem", "--server-cert", folder / "worker.pem", "--server-key", folder / "worker.key")
    system.bridge(*tls, *client)
    system.worker("safe", "--ca", folder / "ca.pem", "--cert", folder / "worker.pem", "--key", folder / "worker.key")
    system.succeeds(system.submit())
