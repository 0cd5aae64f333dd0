"""The metrics of all programs, scraped by a real Prometheus, and what `deploy/` makes of them."""

import contextlib
import json
import os
import re
import subprocess
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from conftest import BIN, PATIENCE, ROOT, SAMPLE, Up, clean_environment
from programs import DEPLOY, Apart, Prometheus, families, fetch, until

DASHBOARD = json.loads((DEPLOY / "grafana/courant.json").read_text())
RULES = DEPLOY / "prometheus/courant.rules.yml"


def submit(http, token):
    """Submits a document over HTTP and gives back the status."""
    headers = {"Authorization": f"Bearer {token}", "Content_Type": "application/pdf"}
    return fetch(f"http://{http}/v1/jobs?name=a.pdf", SAMPLE.read_bytes(), **headers)[0]


@contextlib.contextmanager
def signed_in(http, token):
    """A WebSocket that has sent its token."""
    with connect(f"ws://{http}/ws", subprotocols=["courant.v1.json"]) as socket:
        socket.send(json.dumps({"id": 1, "type": "auth", "token": token}))
        yield socket


class Load:
    """Keeps a system busy until it is stopped: documents, a watcher, refusals and failures."""

    def __init__(self, http, token):
        self.http, self.token = http, token
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._ask, self._follow)]
        for thread in self.threads:
            thread.start()

    def _ask(self):
        while not self.stopped.wait(0.3):
            # More than the workers have slots, so that some wait.
            for _ in range(8):
                submit(self.http, self.token)
            for path in ("/v1/jobs", "/v1/queue", "/v1/nothing", "/v1/jobs/01J00000000000000000000000"):
                fetch(f"http://{self.http}{path}", Authorization=f"Bearer {self.token}")
            # More at once than the bridge of this test lets one user have.
            with contextlib.suppress(ConnectionClosed, TimeoutError), contextlib.ExitStack() as storm:
                for _ in range(3):
                    storm.enter_context(signed_in(self.http, self.token)).recv(timeout=1)

    def _follow(self):
        while not self.stopped.is_set():
            with contextlib.suppress(ConnectionClosed), signed_in(self.http, self.token) as socket:
                socket.send(json.dumps({"id": 2, "type": "subscribe", "topic": "mine", "minIntervalMs": 100}))
                while not self.stopped.is_set():
                    with contextlib.suppress(TimeoutError):
                        socket.recv(timeout=0.2)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    running = Apart(tmp_path_factory.mktemp("apart"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """`courant up` with its address for metrics."""
    running = Up(tmp_path_factory.mktemp("whole"), ("--workers", "1", "--metrics-addr", "127.0.0.1:0"))
    running.metrics = re.search(r"metrics=(\S+)", (running.data.parent / "log").read_text())[1]
    yield running
    running.stop()


@pytest.fixture(scope="module")
def prometheus(apart, whole, tmp_path_factory):
    """A Prometheus that scrapes all of it under load."""
    targets = {"courant-up": whole.metrics} | {program.name: program.metrics for program in apart.programs}
    loads = [Load(whole.http, whole.user), Load(apart.http, apart.token("alice"))]
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), targets)
    yield running
    for load in loads:
        load.stop()
    running.stop()


def test_the_rules_are_right_and_warn_when_they_should():
    for command in (["check", "rules", RULES.name], ["check", "config", "prometheus.yml"], ["test", "rules", "courant.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def queries_of_dashboard():
    """Each panel's queries, with Grafana's variables replaced: [(title, query)]."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")


def test_every_panel_of_the_dashboard_has_data(prometheus):
    queries = list(queries_of_dashboard())
    assert len(queries) > 50
    empty = list(queries)

    def all_have_data():
        empty[:] = [(title, query) for title, query in empty if not prometheus.query(query)]
        return not empty

    try:
        until("all panels to have data", all_have_data)
    except AssertionError:
        raise AssertionError(f"without data: {empty}")


def test_every_rule_is_evaluated_and_records(prometheus):
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 30

    def evaluated():
        groups = prometheus.ask("rules")["groups"]
        return all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    until("all rules to be evaluated", evaluated)
    for rule in rules:
        if rule["type"] == "recording":
            until(f"{rule['name']} to have data", lambda name=rule["name"]: prometheus.query(name))
    # What alerts ask for is there, though most have nothing to say.
    names = set(prometheus.ask("label/__name__/values"))
    for rule in rules:
        for name in re.findall(r"\b(?:courant|process)[a-z0-9_:]+\b", rule["query"]):
            known = name in names or name in ("courant", "process")
            assert known, f"{rule['name']} asks for {name}, which nobody has"


def test_the_numbers_agree_with_what_happened(prometheus, whole):
    """Planted: the load submits documents of which all succeed."""
    until("jobs to succeed", lambda: prometheus.query('courant_jobs_ended_total{job="courant-up",outcome="succeeded"} > 2'))
    listed = len(whole.courant("jobs", "--json", "--user", "alice").splitlines())
    until("all of them to be counted", lambda: sum(value for _, value in prometheus.query('courant_jobs{job="courant-up"}')) >= listed > 2)
    for refused in ('courant_bridge_refused_total{job="courant-bridge"} > 0', 'courant_grpc_requests_total{code="NOT_FOUND"} >= 0'):
        until(refused, lambda query=refused: prometheus.query(query))
    assert prometheus.query('courant_worker_jobs_total{job="courant-pdf-worker",outcome="succeeded"} > 0')
    assert prometheus.query('courant_pdf_page_duration_seconds_count{job="courant-pdf-worker"} > 0')
    assert all(value == 1 for _, value in prometheus.query("courant_ready"))


def test_labels_are_bounded(prometheus):
    """No label holds what a caller chose, and no program has more series than this."""
    for job, series in prometheus.query('count by (job) ({job=~"courant-.*"})'):
        assert series < 2500, (job, series)
    text = json.dumps(prometheus.ask("series", **{"match[]": '{job=~"courant-.*"}'}))
    for chosen in ("alice", "a.pdf", "/v1/nothing"):
        assert chosen not in text


def documented():
    """The rows of docs/metrics.md: {name: (type, {label, …}, {program, …})}."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            name, kind, labels, programs, _ = cells
            found[name.strip("`")] = (kind, set(re.findall(r"`([a-z_]+)`", labels)), set(programs.split(", ")))
    return found


def test_the_documentation_has_every_family_and_no_other(apart, whole, prometheus):
    until("a refusal", lambda: prometheus.query('courant_bridge_refused_total{job="courant-bridge"}'))
    exposed = {}
    for program, address in {
        "server": apart.server.metrics,
        "bridge": apart.bridge.metrics,
        "worker": apart.worker.metrics,
    }.items():
        for name, (kind, labels, _) in families(fetch(f"http://{address}/metrics")[2]).items():
            known = exposed.setdefault(name, (kind, set(), set()))
            assert known[0] == kind
            known[1].update(labels)
            known[2].add(program)
    documents = documented()
    assert documents.keys() == exposed.keys(), documents.keys() ^ exposed.keys()
    for name, shown in exposed.items():
        assert documents[name] == shown, (name, documents[name], shown)
    # `courant up` has all of it on one address; nothing was refused there.
    assert exposed.keys() - families(fetch(f"http://{whole.metrics}/metrics")[2]).keys() <= {"courant_bridge_refused_total"}


def test_both_formats_are_served_and_say_the_same(apart):
    for program in apart.programs:
        _, headers, older = program.get("/metrics")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        _, headers, newer = program.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0") and newer.endswith("# EOF\n")
        described = set(re.findall(r"^# TYPE (\S+)", newer, re.M))
        assert {re.sub("_total$", "", name) for name in families(older)} == described
        checked = subprocess.run(["promtool", "check", "metrics"], input=older, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_address_is_not_the_public_one_and_off_by_default(apart, whole):
    token = apart.token("root", "admin")
    assert fetch(f"http://{apart.http}/metrics")[0] == 401, "the public one asks for a token"
    status, _, text = fetch(f"http://{apart.http}/metrics", Authorization=f"Bearer {token}")
    assert status == 200 and "courant_bridge_connections" in text and "process_open_fds" not in text


def test_an_address_that_is_taken_is_refused_with_its_flag(apart, tmp_path):
    environment = clean_environment() | {"COURANT_METRICS_ADDR": apart.server.metrics}
    command = [BIN.with_name("courant-server"), "--data-dir", tmp_path / "data", "--grpc", "127.0.0.1:0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert ended.returncode == 1 and "--metrics-addr" in ended.stderr, ended


def test_a_picture_of_the_dashboard_can_be_drawn(prometheus):
    """For people, where matplotlib is: COURANT_DASHBOARD_PICTURE=FILE.png."""
    path = os.environ.get("COURANT_DASHBOARD_PICTURE")
    if path:
        from dashboard_picture import draw

        draw(prometheus, DASHBOARD, path)
