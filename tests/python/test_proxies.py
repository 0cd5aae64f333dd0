"""Behind a real nginx: one that buffers, one that buffers whatever it is told, and one that cuts what is silent for 30 s."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest
from websockets.sync.client import connect

from conftest import PATIENCE, SAMPLE
from test_websocket import hear, say, submit

pytestmark = pytest.mark.skipif(bool(os.environ.get("COURANT_SKIP_PROXY")), reason="left out on purpose")

# Debian keeps it where only root's path looks.
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")

CONF = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $http_upgrade $upgrading {{ default upgrade; '' ''; }}
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $upgrading; proxy_buffering on; gzip on; client_max_body_size 100m;
  server {{ listen 127.0.0.1:{buffering}; location / {{ proxy_pass http://{bridge}; }} }}
  server {{ listen 127.0.0.1:{deaf}; location / {{
    proxy_pass http://{bridge}; proxy_ignore_headers X-Accel-Buffering; gzip_types text/event-stream; }} }}
  server {{ listen 127.0.0.1:{cutting}; location / {{
    proxy_pass http://{bridge}; proxy_read_timeout 30s; proxy_send_timeout 30s; }} }}
}}
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Nginx:
    def __init__(self, folder, bridge):
        assert NGINX, "these tests need nginx: run tests/setup/packages"
        self.buffering, self.deaf, self.cutting = free_ports(3)
        conf = pathlib.Path(folder) / "nginx.conf"
        conf.write_text(CONF.format(folder=folder, bridge=bridge, **vars(self)))
        self.process = subprocess.Popen([NGINX, "-c", conf, "-e", f"{folder}/error.log"], start_new_session=True)
        for port in (self.buffering, self.deaf, self.cutting):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
                    break
                except ConnectionRefusedError:
                    assert self.process.poll() is None, (pathlib.Path(folder) / "error.log").read_text()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


@pytest.fixture(scope="module")
def nginx(up, tmp_path_factory):
    running = Nginx(tmp_path_factory.mktemp("nginx"), up.http)
    yield running
    running.stop()


def open_events(port, token, topic, timeout=PATIENCE):
    url = f"http://127.0.0.1:{port}/v1/events?topic={urllib.parse.quote(topic)}&minIntervalMs=0"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}", "accept-encoding": "gzip"})
    return urllib.request.urlopen(request, timeout=timeout)


def events(answer):
    """The messages of an event stream, and `ping` for each sign of life."""
    name, data = "message", None
    for line in answer:
        line = line.decode().rstrip("\r\n")
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data = line[5:].strip()
        elif not line and data is not None:
            yield {"type": "ping"} if name == "ping" else json.loads(data)
            name, data = "message", None


def until(messages, kind):
    heard = []
    for message in messages:
        heard.append(message)
        if message["type"] == kind:
            return heard
    raise AssertionError(f"the stream ended before {kind}: {[message['type'] for message in heard]}")


def poll(port, token, topic, after, wait=25):
    query = urllib.parse.urlencode({"topic": topic, "after": after, "wait": wait})
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/events:poll?{query}", headers={"authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def test_a_buffering_proxy_holds_nothing_back(up, nginx):
    token = up.token("proxied")
    with open_events(nginx.buffering, token, "mine") as answer:
        assert answer.headers["content-encoding"] is None
        messages = events(answer)
        # A few hundred bytes and then silence: exactly what a buffer would keep.
        until(messages, "live")
        job = submit(up, token, SAMPLE)["job"]["jobId"]
        heard = until(messages, "job-completed")
    assert heard[0]["type"] == "job-queued" and heard[-1]["jobId"] == job
    with connect(f"ws://127.0.0.1:{nginx.buffering}/ws", subprotocols=["courant.v1.json"]) as web:
        say(web, id=1, type="auth", token=token)
        assert hear(web, "connected", "auth-error")["type"] == "connected"
        say(web, id=2, type="subscribe", topic=f"job/{job}")
        assert hear(web, "snapshot")["job"]["status"] == "completed"


def test_a_proxy_that_buffers_all_the_same_is_noticed_and_polls_get_through(up, nginx):
    token = up.token("muted")
    with pytest.raises(TimeoutError):
        # Nothing comes at all: by the stall rule a client ends the stream and polls.
        with open_events(nginx.deaf, token, "mine", timeout=5) as answer:
            until(events(answer), "live")
    answer = poll(nginx.deaf, token, "mine", "")
    assert [message["type"] for message in answer["messages"]] == ["connected", "subscribed", "live"]
    job = submit(up, token, SAMPLE)["job"]["jobId"]
    cursor, heard = answer["cursors"]["mine"], []
    while not heard or heard[-1]["type"] != "job-completed":
        answer = poll(nginx.deaf, token, "mine", cursor)
        cursor = answer["cursors"]["mine"]
        heard += [message for message in answer["messages"] if message.get("jobId") == job]
    revisions = [message["revision"] for message in heard if "cursor" in message]
    assert revisions == sorted(set(revisions)) and heard[0]["type"] == "job-queued"


def test_a_proxy_that_cuts_what_is_silent_cuts_nothing(up, nginx):
    """Two signs of life are 50 s apart from the beginning: far over the 30 s of the proxy."""
    token = up.token("idle")
    with (
        open_events(nginx.cutting, token, "mine") as answer,
        connect(f"ws://127.0.0.1:{nginx.cutting}/ws", subprotocols=["courant.v1.json"]) as web,
    ):
        messages = events(answer)
        until(messages, "live")
        say(web, id=1, type="auth", token=token)
        say(web, id=2, type="subscribe", topic="mine")
        hear(web, "live")
        signs = 0
        while signs < 2:
            signs += next(messages)["type"] in ("ping", "bookmark")
        # A poll waits for its 25 s, and is not cut either.
        begun = poll(nginx.cutting, token, "mine", "")
        silent = poll(nginx.cutting, token, "mine", begun["cursors"]["mine"])
        assert silent["messages"][-1]["type"] in ("live", "bookmark")
        say(web, id=3, type="ping")
        assert hear(web, "pong")["id"] == 3
        submit(up, token, SAMPLE)
        assert until(messages, "job-completed")[-1]["type"] == hear(web, "job-completed")["type"]
