"""Webhooks, verified by libraries nobody here wrote: `standardwebhooks` of PyPI and of npm."""

import http.server
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from conftest import PATIENCE, SAMPLE, Up
from programs import until
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

HERE = pathlib.Path(__file__).parent
# What makes waits short, and lets webhooks come to this machine.
FLAGS = (
    "--workers", "1", "--webhook-allow", "127.0.0.0/8", "--webhook-http",
    "--webhook-retry-base", "50ms", "--webhook-retry-max", "500ms", "--webhook-timeout", "2s",
)  # fmt: skip


class Receiver:
    """Takes webhooks and verifies each; what `answer` says is answered."""

    def __init__(self):
        self.arrived = queue.Queue()
        self.answer = lambda handler: 204
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.arrived.put((dict(self.headers), body))
                status = receiver.answer(self)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("location", f"{receiver.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def next(self, secret):
        """The next event, verified."""
        headers, body = self.arrived.get(timeout=PATIENCE)
        event = Webhook(secret).verify(body.decode(), headers)
        assert event["id"] == headers["webhook-id"]
        return event, headers, body


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture
def start(tmp_path):
    """Starts `courant up` on one folder, again and again; it ends with the test."""
    started = []

    def start(*flags):
        started.append(Up(tmp_path, (*FLAGS, *flags)))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.stop()


def ask(up, method, path, body=None, token=None):
    request = urllib.request.Request(
        f"http://{up.http}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {token or up.user}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read() or "null")


def refused(*arguments, **named):
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(*arguments, **named)
    return error.value.code, json.loads(error.value.read())


def submit(up, *flags):
    return up.courant("submit", str(SAMPLE), "--user", "alice", *flags)


def test_libraries_of_others_verify_the_life_of_a_job(start, receiver):
    up = start()
    made = ask(up, "POST", "/v1/webhooks", {"url": receiver.url})
    secret, webhook = made["secret"], made["webhook"]["webhookId"]
    job = submit(up, "--watch", "--json") and ask(up, "GET", "/v1/jobs")["jobs"][0]["jobId"]
    events, lines = [], []
    while not events or events[-1]["type"] != "courant.job.succeeded":
        event, headers, body = receiver.next(secret)
        events.append(event)
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        lines.append({"secret": secret, "headers": {name: headers[name] for name in names}, "body": body.decode()})
    assert [event["type"] for event in events] == [
        "courant.job.queued",
        "courant.job.started",
        "courant.job.succeeded",
    ]
    assert {event["subject"] for event in events} == {job}
    assert events[-1]["specversion"] == "1.0" and events[-1]["data"]["state"] == "succeeded"
    assert events[-1]["data"]["pagesDone"] == events[-1]["data"]["pagesTotal"] > 0
    # The same by npm; and what was changed on its way is refused by both.
    lines.append(lines[-1] | {"body": lines[-1]["body"].replace("succeeded", "cancelled")})
    verified = subprocess.run(
        ["node", HERE / "verify_webhook.mjs"],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=HERE.parent,
        check=True,
    )
    assert verified.stdout.splitlines()[:3] == [event["type"] for event in events], verified.stderr
    assert verified.stdout.splitlines()[3].startswith("refused")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(lines[-1]["body"], lines[-1]["headers"])

    deliveries = ask(up, "GET", f"/v1/webhooks/{webhook}/deliveries")["deliveries"]
    assert [one["httpStatus"] for one in deliveries] == [204] * 3 and deliveries[0]["messageId"] == events[-1]["id"]
    # Only the owner sees it, and the secret is in no log.
    assert refused(up, "GET", f"/v1/webhooks/{webhook}", token=up.token("bob"))[1]["code"] == "WEBHOOK_NOT_FOUND"
    assert secret not in (up.data.parent / "log").read_text()


def test_a_killed_server_loses_nothing_and_repeats_only_under_the_same_id(start, receiver):
    up = start()
    made = ask(up, "POST", "/v1/webhooks", {"url": receiver.url, "events": ["job.succeeded"]})
    secret, webhook = made["secret"], made["webhook"]["webhookId"]
    # Until the server dies the receiver takes everything and says so to nobody.
    receiver.answer = lambda handler: None
    first = {submit(up, "--watch", "--json") and ask(up, "GET", "/v1/jobs")["jobs"][0]["jobId"] for _ in range(2)}
    before = receiver.next(secret)[0]
    os.killpg(up.process.pid, signal.SIGKILL)
    up.process.wait()
    receiver.answer = lambda handler: 200
    while not receiver.arrived.empty():
        receiver.arrived.get()
    up = start()
    submit(up, "--watch")
    until("three", lambda: ask(up, "GET", f"/v1/webhooks/{webhook}")["webhook"]["eventsDelivered"] >= 3)
    ids = {}
    while not receiver.arrived.empty():
        event = receiver.next(secret)[0]
        ids.setdefault(event["subject"], set()).add(event["id"])
    assert len(ids) == 3 and first <= set(ids), ids
    assert all(len(found) == 1 for found in ids.values()), ids
    assert ids[before["subject"]] == {before["id"]}


def test_the_command_line_manages_webhooks_and_callbacks(start, receiver):
    up = start()
    webhook, secret = up.courant("webhooks", "create", receiver.url, "--event", "job.failed", "--user", "alice").split()
    assert up.courant("webhooks", "list", "--user", "alice").split() == [webhook, "enabled", receiver.url]
    tested = json.loads(up.courant("webhooks", "test", webhook, "--user", "alice", "--json"))
    assert (tested["httpStatus"], tested["error"]) == (204, None)
    assert receiver.next(secret)[0]["type"] == "courant.webhook.test"
    new = up.courant("webhooks", "rotate", webhook, "--user", "alice").split()[1]
    assert new != secret
    up.courant("webhooks", "delete", webhook, "--user", "alice")
    assert up.courant("webhooks", "list", "--user", "alice") == ""

    secret = up.courant("webhooks", "rotate", "callback", "--user", "alice").split()[1]
    submit(up, "--callback", f"{receiver.url}?order=7", "--watch")
    event = receiver.next(secret)[0]
    assert event["type"] == "courant.job.succeeded"
    # Again from its beginning: the same event.
    up.courant("webhooks", "replay", "callback", "--user", "alice")
    assert receiver.next(secret)[0]["id"] == event["id"]
    said = up.courant("webhooks", "deliveries", "callback", "--user", "alice").splitlines()
    assert len(said) == 2 and all(event["id"] in line and " 204 " in line for line in said), said


def test_what_cannot_be_sent_to_is_refused_with_what_to_do(start, receiver):
    up = start()
    for url, says in {
        "http://10.0.0.1/": "private address",
        "http://[fe80::1]/": "link-local",
        "http://[::ffff:169.254.169.254]/": "link-local",
        "nonsense": "is no URL",
    }.items():
        status, problem = refused(up, "POST", "/v1/webhooks", {"url": url})
        assert status == 400 and says in problem["detail"], problem
    status, problem = refused(up, "POST", "/v1/webhooks", {"url": receiver.url, "events": ["job.done"]})
    assert status == 400 and "job.succeeded" in problem["detail"], problem

    made = ask(up, "POST", "/v1/webhooks", {"url": receiver.url, "events": ["job.queued"]})
    path = f"/v1/webhooks/{made['webhook']['webhookId']}"
    receiver.answer = lambda handler: 302
    tested = ask(up, "POST", f"{path}:test")["delivery"]
    assert tested["httpStatus"] == 302 and "redirects are not followed" in tested["error"], tested
    # It is not gone to.
    assert receiver.arrived.get(timeout=PATIENCE) and receiver.arrived.empty()
    # Says 200, and dies within its body.
    def dies(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
        handler.wfile.flush()

    receiver.answer = dies
    tested = ask(up, "POST", f"{path}:test")["delivery"]
    assert (tested["httpStatus"], tested["error"]) == (200, None), tested
    held = threading.Event()
    receiver.answer = lambda handler: held.wait(PATIENCE) and 204
    tested = ask(up, "POST", f"{path}:test")["delivery"]
    held.set()
    assert tested["httpStatus"] is None and tested["error"] == "no answer within 2 s", tested
