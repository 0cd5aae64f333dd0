"""The store of documents and results is gone and comes back (docs/runbook.md, "The object store is away")."""

import pytest

from conftest import BUCKET, LONG
from faulty_store import CUT, FaultyStore
from programs import until
from system import lacks, logs, metric, ready


@pytest.fixture
def gone(store):
    """A way to the store that a test can cut."""
    way = FaultyStore(store.endpoint)
    yield way
    way.stop()


def test_a_job_under_way_waits_for_the_store_and_loses_nothing(system, store, gone, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": gone.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    server = system.server("--objects", f"s3://{BUCKET}/away", "--small-file-bytes", "0")
    bridge = system.bridge()
    ready(bridge)
    system.worker()
    running = system.submit(LONG)
    until("pages of it", lambda: system.job(running)["pagesDone"] > 3)

    gone.fault = lambda request: CUT
    lacks(server, "objects")
    logs(server, "the store of documents and results cannot be used")
    lacks(bridge, "server")
    assert system.refused() == (503, "STORAGE_UNAVAILABLE", True)
    assert metric(server, "courant_object_request_failures_total") > 0
    # Not for who only reads jobs and watches.
    assert server.get("/readyz?exclude=objects")[0] == 200
    assert system.job(running)["state"] == "running"

    gone.fault = lambda request: None
    logs(server, "the store of documents and results can be used again")
    for program in (server, bridge):
        ready(program)
    assert system.succeeds(running, LONG)["attempt"] == 1
    assert system.pages(running) == list(range(1, 121))
