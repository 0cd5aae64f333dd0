"""A certificate has run out (docs/runbook.md, "A certificate has run out")."""

import datetime
import ssl
import shutil
import subprocess

from conftest import LONG
from papers import Papers
from programs import until
from system import lacks, logs, metric, ready


def seconds_from_now(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def short_lived(system, papers):
    """A server whose certificate runs out as soon as a server can have started with it: a busy machine takes longer."""
    for seconds in (3, 6, 12, 24, 48):
        ends = seconds_from_now(seconds)
        cert, key = papers.sign("server", until=ends)
        try:
            return system.server("--tls-cert", cert, "--tls-key", key, "--tls-reload", "200ms"), cert
        except AssertionError as failed:
            assert "was valid until" in str(failed)
    raise AssertionError("no server starts in time")


def test_who_is_connected_stays_who_comes_is_told_and_a_new_file_is_enough(system, tmp_path):
    papers = Papers(tmp_path / "papers")
    system.trust = papers.ca
    server, cert = short_lived(system, papers)
    logs(server, "a certificate ends soon; renew it")
    edge_cert, edge_key = papers.sign("bridge")
    bridge = system.bridge("--server-ca", papers.ca, "--tls-cert", edge_cert, "--tls-key", edge_key)
    early = system.worker("early", "--ca", papers.ca)
    until("the early worker", lambda: early.get("/readyz")[0] == 200)
    job = system.submit(LONG)

    def refusal():
        jobs = system.courant("jobs", "--server", system.url, "--ca", papers.ca, "--token", system.user, check=False)
        return jobs.returncode == 1 and jobs.stderr

    assert "certificate expired" in until("it to run out", refusal)
    # As the runbook checks it.
    shown = tmp_path / "shown.pem"
    shown.write_text(ssl.get_server_certificate(tuple(system.grpc.split(":"))))
    assert subprocess.run(["openssl", "x509", "-checkend", "0", "-noout", "-in", shown], stdout=subprocess.DEVNULL).returncode == 1
    late = system.worker("late", "--ca", papers.ca)
    logs(late, "certificate expired")
    lacks(late, "server")
    # Connections that are there stay, and the server itself notices nothing.
    system.succeeds(job, LONG)
    assert server.get("/readyz")[0] == 200 and metric(server, "courant_workers", state="ready") == 1

    new_cert, new_key = papers.sign("new")
    shutil.copy(new_key, cert.with_suffix(".key"))
    shutil.copy(new_cert, cert)
    logs(server, "new certificate")
    for program in (late, bridge):
        ready(program)
    system.succeeds(system.submit())
