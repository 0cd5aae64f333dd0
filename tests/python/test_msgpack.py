"""`courant.v1.msgpack`, by Python's own MessagePack and zlib."""

import contextlib
import json
import zlib

import msgpack
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from conftest import PATIENCE, SAMPLE
from test_websocket import submit

PACKED, JSON = "courant.v1.msgpack", "courant.v1.json"
PLAIN, DEFLATED = 0, 1


class Socket:
    """A connection that speaks MessagePack; counts what comes compressed."""

    def __init__(self, socket, token):
        self.socket, self.kinds = socket, {PLAIN: 0, DEFLATED: 0}
        assert socket.subprotocol == PACKED
        self.say(id=1, type="auth", token=token)
        assert self.hear()["type"] == "connected"

    def say(self, **command):
        self.socket.send(bytes([PLAIN]) + msgpack.packb(command))

    def hear(self):
        frame = self.socket.recv(timeout=PATIENCE)
        assert isinstance(frame, bytes)
        kind, packed = frame[0], frame[1:]
        self.kinds[kind] += 1
        if kind == DEFLATED:
            unpacker = zlib.decompressobj(wbits=-15)
            packed = unpacker.decompress(packed) + unpacker.flush()
            assert unpacker.eof and not unpacker.unused_data and len(packed) > 1024 and len(packed) > len(frame)
        return msgpack.unpackb(packed)

    def until(self, kind):
        heard = []
        while not heard or heard[-1]["type"] != kind:
            heard.append(self.hear())
        return heard


@contextlib.contextmanager
def packed(up):
    with connect(f"ws://{up.http}/ws", subprotocols=[PACKED, JSON], compression=None) as socket:
        yield Socket(socket, up.token("alice"))


def test_both_formats_say_the_same(up):
    token = up.token("alice")
    answer = submit(up, token, SAMPLE)
    topic = f"job/{answer['job']['jobId']}"
    with packed(up) as live:
        live.say(id=2, type="subscribe", topic=topic, after=answer["cursor"], minIntervalMs=0)
        heard = live.until("job-completed")
    # Once more, all of it from the log, in both formats.
    with packed(up) as again:
        again.say(id=3, type="subscribe", topic=topic, after=answer["cursor"])
        replayed = again.until("live")
    with connect(f"ws://{up.http}/ws", subprotocols=[JSON]) as plain:
        plain.send(json.dumps({"id": 1, "type": "auth", "token": token}))
        assert json.loads(plain.recv(timeout=PATIENCE))["type"] == "connected"
        plain.send(json.dumps({"id": 3, "type": "subscribe", "topic": topic, "after": answer["cursor"]}))
        said = [json.loads(plain.recv(timeout=PATIENCE)) for _ in replayed]
    assert said == replayed
    pages = [[message["page"] for message in all if message["type"] == "page-completed"] for all in (heard, replayed)]
    assert pages[0] == pages[1] and len(pages[0]) > 1
    assert again.kinds[DEFLATED] > 0 and again.kinds[PLAIN] > 0


@pytest.mark.parametrize(
    "frame", [b"", b"\x01" + zlib.compress(msgpack.packb({"type": "ping"}), wbits=-15), b"\x02\x80", '{"type":"ping"}']
)
def test_what_is_no_frame_ends_the_connection(up, frame):
    with packed(up) as socket:
        socket.socket.send(frame)
        assert socket.until("closing")[-1]["reason"] == "BAD_MESSAGE"
        with pytest.raises(ConnectionClosedError):
            socket.hear()
        assert socket.socket.close_code == 4400


@pytest.mark.parametrize("content", [b"\xc1", b"\xdf\xff\xff\xff\xff", msgpack.packb([1]), msgpack.packb({"type": 5})])
def test_what_is_no_message_gets_an_error_and_the_connection_stays(up, content):
    with packed(up) as socket:
        socket.socket.send(bytes([PLAIN]) + content)
        assert socket.hear()["code"] == "BAD_MESSAGE"
        socket.say(id=9, type="ping")
        assert socket.hear() == {"type": "pong", "id": 9}
