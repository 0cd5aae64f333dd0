"""The `websockets` package on the browser's door."""

import json
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from conftest import PATIENCE, SAMPLE


def submit(up, token, path):
    request = urllib.request.Request(
        f"http://{up.http}/v1/jobs?name={path.name}",
        data=path.read_bytes(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/pdf"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 201
        return json.load(answer)


def say(socket, **command):
    socket.send(json.dumps(command))


def hear(socket, *types):
    while True:
        message = json.loads(socket.recv(timeout=PATIENCE))
        if message["type"] in types:
            return message


def test_upload_follow_and_download(up):
    token = up.token("alice")
    with connect(f"ws://{up.http}/ws", subprotocols=["courant.v1.json"]) as socket:
        assert socket.subprotocol == "courant.v1.json"
        say(socket, id=1, type="auth", token=token)
        assert hear(socket, "connected", "auth-error")["user"] == "alice"
        answer = submit(up, token, SAMPLE)
        job = answer["job"]["jobId"]
        say(socket, id=2, type="subscribe", topic=f"job/{job}", after=answer["cursor"], minIntervalMs=0)
        assert hear(socket, "subscribed", "error")["mode"] == "resumed"
        percents, end = [], None
        while end is None:
            message = json.loads(socket.recv(timeout=PATIENCE))
            if "progress" in message:
                percents.append(message["progress"])
            if message["type"] in ("job-completed", "job-failed", "job-cancelled"):
                end = message
    assert end["type"] == "job-completed" and end["progress"] == 100
    assert percents == sorted(percents) and len(set(percents)) > 3
    formats = {result["format"]: result["url"] for result in end["result"]["formats"]}
    request = urllib.request.Request(f"http://{up.http}{formats['md']}", headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert "Two-Column Document" in answer.read().decode()


def test_a_connection_without_a_token_gets_nothing(up):
    with connect(f"ws://{up.http}/ws", subprotocols=["courant.v1.json"]) as socket:
        say(socket, id=1, type="auth", token="nonsense")
        assert hear(socket, "auth-error", "connected")["code"] == "TOKEN_INVALID"
        hear(socket, "closing")
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=PATIENCE)
        assert socket.close_code == 4401
