"""A worker's token and a user's token have run out (docs/runbook.md, "A token has expired")."""

import json

from conftest import LONG
from programs import until
from system import lacks, logs, metric, ready


def test_a_new_token_in_the_file_is_enough_and_the_job_goes_on(system):
    server = system.server()
    system.bridge()
    token = system.folder / "token"
    token.write_text(system.token("worker", "worker", ttl="1s"))
    token.chmod(0o600)
    short = system.token("alice", ttl="1s")
    worker = system.worker(token=token)
    logs(worker, "the token has expired; get a new one")
    # For five seconds more it is let in, and its stream ended: clocks may differ by that.
    logs(server, "a token was refused reason=it has expired")
    lacks(worker, "server")
    assert metric(server, "courant_grpc_requests_total", code="UNAUTHENTICATED") > 0
    until("a worker less", lambda: metric(server, "courant_workers", state="ready") == 0)
    status, _, answer = system.ask("/v1/jobs", token=short)
    assert (status, json.loads(answer)["code"]) == (401, "TOKEN_EXPIRED")
    refused = system.courant("jobs", "--server", system.url, "--token", short, check=False)
    assert refused.returncode == 1 and "the token has expired; get a new one (TOKEN_EXPIRED)" in refused.stderr

    job = system.submit(LONG)
    token.write_text(system.token("worker", "worker"))
    ready(worker)
    system.succeeds(job, LONG)
