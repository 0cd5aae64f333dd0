"""Traces, from a browser's request to the isolated child, in a collector that parses OTLP."""

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import time

import grpc
import pytest
from websockets.sync.client import connect

from collector import Collector, tree
from conftest import BIN, PATIENCE, SAMPLE, Up, clean_environment
from programs import Program, fetch, free_port, until

SUBMIT = "courant.v1.JobService/SubmitJob"
# A span, and what it is a part of.
OF_A_JOB = {
    (SUBMIT, "POST /v1/jobs"),
    ("queue wait", SUBMIT),
    ("attempt", SUBMIT),
    ("append", SUBMIT),
    ("append", "attempt"),
    ("assignment", "attempt"),
    ("process", "attempt"),
    ("read document", "process"),
    ("courant.v1.WorkerService/ReadDocument", "read document"),
    ("child", "process"),
    ("open document", "child"),
    ("survey", "child"),
    ("wait for a turn", "process"),
    ("read page", "child"),
    ("store page", "process"),
    ("merge", "process"),
    ("export", "process"),
    ("write artifact", "export"),
    ("courant.v1.WorkerService/WriteArtifact", "write artifact"),
}


@pytest.fixture
def collector():
    running = Collector()
    yield running
    assert not running.wrong
    running.stop()


class Browser:
    """The span of a browser."""

    def __init__(self, sampled=True):
        self.trace, self.span = secrets.token_hex(16), secrets.token_hex(8)
        self.traceparent = f"00-{self.trace}-{self.span}-{'01' if sampled else '00'}"


def submit(http, token, document=SAMPLE, **headers):
    """The job's id."""
    headers |= {"Authorization": f"Bearer {token}", "Content_Type": "application/pdf"}
    status, _, text = fetch(f"http://{http}/v1/jobs?name=a.pdf", document.read_bytes(), **headers)
    assert status == 201, text
    return json.loads(text)["job"]["jobId"]


def finished(http, token, job):
    """Waits for the end of a job."""

    def ended():
        _, _, text = fetch(f"http://{http}/v1/jobs/{job}", Authorization=f"Bearer {token}")
        state = json.loads(text)["job"]["state"]
        return state if state in ("succeeded", "failed", "cancelled") else None

    assert until("the end of the job", ended) == "succeeded"


def stop(process):
    """Stops a program as an operator does; how long that took."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    return time.monotonic() - begun


def check_times(spans):
    """Parts lie within what they are a part of, but for what goes on after its caller has its answer."""
    by_id = {span.id: span for span in spans}
    for span in spans:
        assert span.lasted >= 0, span
        of = by_id.get(span.parent)
        if of and of.name not in (SUBMIT,):
            # Times of jobs are milliseconds.
            assert of.began - 0.002 <= span.began and span.ended <= of.ended + 0.05, (span, of)


def covered(span, spans):
    """The share of a span in which one of its parts goes on, not counting the one of the worker as a whole."""
    ids, parts = {span.id}, []
    while found := [other for other in spans if other.parent in ids and other not in parts]:
        parts += found
        ids |= {other.id for other in found}
    share, end = 0, span.began
    for part in sorted((part for part in parts if part.name != "process"), key=lambda part: part.began):
        share += max(0, part.ended - max(part.began, end))
        end = max(end, part.ended)
    return share / span.lasted


def test_the_trace_of_a_job_tells_where_its_time_went(tmp_path, collector):
    browser = Browser()
    up = Up(tmp_path, ("--workers", "1", "--otlp-endpoint", collector.endpoint), {"COURANT_LAME_DUCK": "0s"})
    job = submit(up.http, up.user, Traceparent=browser.traceparent)
    finished(up.http, up.user, job)
    # What is left is sent at the end.
    stop(up.process)
    spans = collector.of_trace(browser.trace)
    assert OF_A_JOB <= tree(spans), OF_A_JOB - tree(spans)
    named = {span.name: span for span in spans}
    assert {span.service for span in spans} == {"courant"}
    assert {span.part for span in spans} == {"courant-bridge", "courant-server", "courant-worker"}
    assert named["POST /v1/jobs"].parent == browser.span
    assert named["POST /v1/jobs"].attributes["http.response.status_code"] == 201
    attempt = named["attempt"]
    assert attempt.attributes["courant.job"] == job == named["process"].attributes["courant.job"]
    assert attempt.attributes["courant.outcome"] == "succeeded" and not attempt.failed
    assert sum(span.name == "attempt" for span in spans) == 1
    exports = {span.attributes["courant.format"] for span in spans if span.name == "export"}
    assert exports == {"result.json", "result.md", "result.txt", "result.html"}
    check_times(spans)
    # Before it there is the append that the submit waits for.
    process = named["process"]
    assert covered(process, spans) > 0.7, [(span, span.lasted) for span in spans]
    # Other requests have traces of their own.
    assert all(span.trace != browser.trace for span in collector.spans if span.name == "GET /v1/jobs/{id}")


class Programs:
    """Server, bridge and worker by themselves, each started when it is needed."""

    def __init__(self, folder, endpoint):
        self.data, self.port = folder / "data", free_port()
        self.telemetry = ("--otlp-endpoint", endpoint, "--log-format", "json")
        self.running = []

    def start(self, name, *flags):
        program = Program(name, *flags, *self.telemetry)
        self.running.append(program)
        return program

    def server(self):
        return self.start("courant-server", "--data-dir", self.data, "--grpc", f"127.0.0.1:{self.port}")

    def beside(self, name, *flags):
        at = ("--secret-file", self.data / "secret", "--server", f"http://127.0.0.1:{self.port}")
        return self.start(name, *at, *flags)

    def token(self, user):
        made = [BIN, "token", "--data-dir", self.data, "--sub", user]
        return subprocess.run(made, capture_output=True, text=True, check=True, env=clean_environment()).stdout.strip()

    def stop(self):
        for program in self.running:
            if program.process.poll() is None:
                program.stop()


@pytest.fixture
def programs(tmp_path, collector):
    running = Programs(tmp_path, collector.endpoint)
    yield running
    running.stop()


def test_the_trace_goes_on_over_a_restart_of_the_server_and_in_other_programs(programs, collector):
    browser = Browser()
    server = programs.server()
    bridge = programs.beside("courant-bridge", "--listen", "127.0.0.1:0")
    http, token = bridge.says_field("listen"), programs.token("alice")
    bridge.says("server available")
    job = submit(http, token, Traceparent=browser.traceparent)
    collector.wait_for(browser.trace, SUBMIT)
    # It waits, durably.
    server.stop()
    server = programs.server()
    waiting = time.time()
    worker = programs.beside("courant-pdf-worker", "--worker-id", "apart")
    until("the server to be there again", lambda: fetch(f"http://{server.metrics}/readyz")[0] == 200)
    until("the bridge to reach it", lambda: fetch(f"http://{http}/readyz")[0] == 200)
    finished(http, token, job)
    for program in (worker, bridge, server):
        stop(program.process)
    spans = collector.of_trace(browser.trace)
    assert OF_A_JOB <= tree(spans), OF_A_JOB - tree(spans)
    services = {span.name: span.service for span in spans}
    assert services["POST /v1/jobs"] == "courant-bridge"
    assert services[SUBMIT] == services["attempt"] == "courant-server"
    assert services["process"] == services["read page"] == "courant-pdf-worker"
    wait = next(span for span in spans if span.name == "queue wait")
    assert wait.began < waiting < wait.ended, "it has waited for the worker"
    assert all(span.attributes.get("courant.worker", "apart") == "apart" for span in spans)


def test_a_subscription_is_a_part_of_its_page(tmp_path, collector):
    browser = Browser()
    up = Up(tmp_path, ("--workers", "1", "--otlp-endpoint", collector.endpoint))
    try:
        job = submit(up.http, up.user)
        with connect(f"ws://{up.http}/ws", subprotocols=["courant.v1.json"]) as socket_:
            for command in (
                {"id": 1, "type": "auth", "token": up.user},
                {"id": 2, "type": "subscribe", "topic": f"job/{job}", "traceparent": browser.traceparent},
                {"id": 3, "type": "subscribe", "topic": "mine", "traceparent": "none"},
            ):
                socket_.send(json.dumps(command))
            answered = set()
            while answered < {"subscribed"} or len(answered) < 2:
                answered.add(json.loads(socket_.recv(timeout=PATIENCE))["type"])
        spans = collector.wait_for(browser.trace, "subscribe", "courant.v1.JobService/GetJob")
        subscribe = next(span for span in spans if span.name == "subscribe")
        assert subscribe.parent == browser.span and subscribe.attributes["courant.topic"] == f"job/{job}"
        assert ("courant.v1.JobService/GetJob", "subscribe") in tree(spans)
    finally:
        up.stop()


def test_callers_decide_on_their_traces_and_the_ratio_on_others(tmp_path, collector):
    flags = ("--workers", "1", "--otlp-endpoint", collector.endpoint, "--trace-ratio", "0")
    up = Up(tmp_path, flags, {"COURANT_LAME_DUCK": "0s"})
    silent, seen = Browser(sampled=False), Browser()
    for headers in ({"Traceparent": silent.traceparent}, {"Traceparent": seen.traceparent}, {}):
        finished(up.http, up.user, submit(up.http, up.user, **headers))
    stop(up.process)
    assert {span.trace for span in collector.spans} == {seen.trace}


@contextlib.contextmanager
def hanging():
    """Takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def down():
    yield f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("trouble", [hanging, down])
def test_a_collector_that_does_not_answer_changes_nothing_for_jobs(tmp_path, trouble):
    with trouble() as endpoint:
        up = Up(tmp_path, ("--workers", "1", "--otlp-endpoint", endpoint), {"COURANT_LAME_DUCK": "0s"})
        for job in [submit(up.http, up.user, Traceparent=Browser().traceparent) for _ in range(3)]:
            finished(up.http, up.user, job)
        log = tmp_path / "log"
        until("the warning", lambda: "spans could not be sent" in log.read_text())
        finished(up.http, up.user, submit(up.http, up.user))
        # The drain, and two seconds for the collector.
        assert stop(up.process) < 12


def test_requests_have_ids_in_answers_and_in_the_logs_of_all_programs(programs):
    server = programs.server()
    bridge = programs.beside("courant-bridge", "--listen", "127.0.0.1:0")
    worker = programs.beside("courant-pdf-worker", "--worker-id", "apart")
    http, token = bridge.says_field("listen"), programs.token("alice")
    bridge.says("server available")
    headers = {"Authorization": f"Bearer {token}", "Content_Type": "application/pdf"}
    url = f"http://{http}/v1/jobs?name=a.pdf"
    status, answered, text = fetch(url, SAMPLE.read_bytes(), X_Request_Id="from-a-page.7", **headers)
    assert (status, answered["x-request-id"]) == (201, "from-a-page.7"), text
    job = json.loads(text)["job"]["jobId"]
    finished(http, token, job)

    def events(program):
        return [json.loads(line) for line in list(program.lines)]

    def event(program, message):
        found = [one for one in events(program) if one["fields"]["message"] == message]
        return found[0] if found else None

    submitted = until("the line of the submit", lambda: event(server, "job submitted"))
    assert (submitted["request"], submitted["fields"]["job"]) == ("from-a-page.7", job)
    done = until("the bridge's line", lambda: event(bridge, "done"))
    assert done["request"] == "from-a-page.7"
    ended = until("the worker's line", lambda: event(worker, "job ended"))
    assert ended["fields"]["job"] == job
    # Made here where the caller's is none, and also where there is an error.
    for sent, path in (("with blanks", "jobs"), (None, "jobs"), (None, "nothing")):
        asked = {"Authorization": f"Bearer {token}"} | ({"X_Request_Id": sent} if sent else {})
        _, answered, _ = fetch(f"http://{http}/v1/{path}", **asked)
        assert len(answered["x-request-id"]) == 32 and answered["x-request-id"] != sent
    with grpc.insecure_channel(f"127.0.0.1:{programs.port}") as channel:
        call = channel.unary_unary("/courant.v1.QueueService/GetQueue")
        _, asked = call.with_call(b"", metadata=(("authorization", f"Bearer {token}"), ("x-request-id", "g-1")))
        assert ("x-request-id", "g-1") in [(key, value) for key, value in asked.initial_metadata()]
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=(("x-request-id", "g-2"),))
        sent = [*refused.value.initial_metadata(), *refused.value.trailing_metadata()]
        assert ("x-request-id", "g-2") in [(key, value) for key, value in sent]
