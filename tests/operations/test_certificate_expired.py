"""A certificate has run out (docs/runbook.md, "A certificate has run out")."""

import datetime
import ssl
import shutil
import subprocess

from conftest import LONG
from papers import Papers
from programs import until
from system import lacks, logs, metric, ready

WEEK = 7 * 86400


def connected(system, papers, seconds):
    """A server with a certificate that runs out so soon, and a bridge and a worker that came before; nothing if that was too soon."""
    ends = now() + datetime.timedelta(seconds=seconds)
    cert, key = papers.sign("server", until=ends)
    try:
        server = system.server("--tls-cert", cert, "--tls-key", key, "--tls-reload", "200ms")
    except AssertionError as failed:
        assert "was valid until" in str(failed)
        return None
    edge_cert, edge_key = papers.sign("bridge")
    bridge = system.bridge("--server-ca", papers.ca, "--tls-cert", edge_cert, "--tls-key", edge_key)
    early = system.worker("early", "--ca", papers.ca)

    def both():
        return all(program.get("/readyz")[0] == 200 for program in (bridge, early))

    if until("them to connect", lambda: both() or now() > ends) and both():
        return server, bridge, cert
    system.stop()
    system.programs.clear()
    return None


def ending(program, certificate):
    return metric(program, "courant_tls_certificate_expiry_timestamp_seconds", certificate=certificate)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def test_who_is_connected_stays_who_comes_is_told_and_a_new_file_is_enough(system, tmp_path):
    papers = Papers(tmp_path / "papers")
    system.trust = papers.ca
    # A busy machine takes longer until they are connected.
    tries = (connected(system, papers, seconds) for seconds in (4, 8, 16, 32, 64))
    server, bridge, cert = next(found for found in tries if found)
    logs(server, "a certificate ends soon; renew it")
    until("the metric to say that it ends now", lambda: 0 < abs(ending(server, "grpc") - now().timestamp()) < 120)
    assert ending(bridge, "http") > now().timestamp() + WEEK
    job = system.submit(LONG)

    def refusal():
        jobs = system.courant("jobs", "--server", system.url, "--ca", papers.ca, "--token", system.user, check=False)
        return jobs.returncode == 1 and jobs.stderr

    assert "certificate expired" in until("it to run out", refusal)
    # As the runbook checks it.
    shown = tmp_path / "shown.pem"
    shown.write_text(ssl.get_server_certificate(tuple(system.grpc.split(":"))))
    check = ["openssl", "x509", "-checkend", "0", "-noout", "-in", shown]
    assert subprocess.run(check, stdout=subprocess.DEVNULL).returncode == 1
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
    assert ending(server, "grpc") > now().timestamp() + WEEK
    for program in (late, bridge):
        ready(program)
    system.succeeds(system.submit())
