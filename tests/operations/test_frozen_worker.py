"""A worker stands still (docs/runbook.md, "A worker stands still")."""

import json
import signal

from documents import many_pages
from programs import until
from system import logs, metric, ready

# So many that a worker is in the middle of them for a while.
PAGES = 4500


def test_its_job_goes_on_at_another_worker_and_it_works_again(system):
    server = system.server("--lease", "3s", "--retry-base", "100ms")
    system.bridge()
    frozen = system.worker("frozen", "--slots", "1")
    admin = ("--server", system.url, "--token", system.token("operator", "admin"))
    large = many_pages(system.folder / "large.pdf", PAGES)
    job = system.submit(large)
    until("pages of it", lambda: system.job(job)["pagesDone"] > 3)

    frozen.process.send_signal(signal.SIGSTOP)
    logs(server, "lease ran out")
    until("the attempt to be counted", lambda: metric(server, "courant_job_retries_total") == 1)
    until("it to count as silent", lambda: metric(server, "courant_workers", state="silent") == 1)
    assert metric(server, "courant_workers", state="ready") == 0
    # It has lost its job, and is connected as far as anybody can tell: no new job goes to it all the same.
    until("its job to wait", lambda: system.job(job)["state"] == "queued")
    assert (listed := json.loads(system.courant("workers", "--json", *admin).stdout))["jobs"] == [], listed
    healthy = system.worker("healthy")
    ended = system.succeeds(job, large)
    assert ended["attempt"] == 2 and system.pages(job) == list(range(1, PAGES + 1))

    frozen.process.send_signal(signal.SIGCONT)
    ready(frozen)
    healthy.stop()
    until("the other worker to be gone", lambda: metric(server, "courant_workers", state="ready") == 1)
    system.succeeds(system.submit())
