"""`courant.v1.msgpack`, by Python's own MessagePack and zlib."""

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

    def __init__(self, up, token):
        self.socket = connect(f"ws://{up.http}/ws", subprotocols=[PACKED, JSON], compression=None)
        self.kinds, self.longest = {PLAIN: 0, DEFLATED: 0}, 0
        assert self.socket.subprotocol == PACKED
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
        else:
            self.longest = max(self.longest, len(packed))
        return msgpack.unpackb(packed)

    def until(self, kind):
        heard = []
        while not heard or heard[-1]["type"] != kind:
            heard.append(self.hear())
        return heard


def test_both_formats_say_the_same(up):
    token = up.token("alice")
    answer = submit(up, token, SAMPLE)
    topic = f"job/{answer['job']['jobId']}"
    packed = Socket(up, token)
    packed.say(id=2, type="subscribe", topic=topic, after=answer["cursor"], minIntervalMs=0)
    heard = packed.until("job-completed")
    # Once more, all of it from the log, in both formats.
    again = Socket(up, token)
    again.say(id=3, type="subscribe", topic=topic, after=answer["cursor"])
    replayed = again.until("live")
    with connect(f"ws://{up.http}/ws", subprotocols=[JSON]) as plain:
        plain.send(json.dumps({"id": 1, "type": "auth", "token": token}))
        assert json.loads(plain.recv(timeout=PATIENCE))["type"] == "connected"
        plain.send(json.dumps({"id": 3, "type": "subscribe", "topic": topic, "after": answer["cursor"]}))
        said = [json.loads(plain.recv(timeout=PATIENCE)) for _ in replayed]
    assert said == replayed
    completed = [message for message in heard if message["type"] == "page-completed"]
    assert completed == [message for message in replayed if message["type"] == "page-completed"]
    assert again.kinds[DEFLATED] > 0 and again.kinds[PLAIN] > 0


@pytest.mark.parametrize(
    "frame", [b"", b"\x01" + zlib.compress(msgpack.packb({"type": "ping"}), wbits=-15), b"\x02\x80", '{"type":"ping"}']
)
def test_what_is_no_frame_ends_the_connection(up, frame):
    socket = Socket(up, up.token("alice"))
    socket.socket.send(frame)
    assert socket.until("closing")[-1]["reason"] == "BAD_MESSAGE"
    with pytest.raises(ConnectionClosedError):
        socket.hear()
    assert socket.socket.close_code == 4400


@pytest.mark.parametrize("packed", [b"\xc1", b"\xdf\xff\xff\xff\xff", msgpack.packb([1]), msgpack.packb({"type": 5})])
def test_what_is_no_message_gets_an_error_and_the_connection_stays(up, packed):
    socket = Socket(up, up.token("alice"))
    socket.socket.send(bytes([PLAIN]) + packed)
    assert socket.hear()["code"] == "BAD_MESSAGE"
    socket.say(id=9, type="ping")
    assert socket.hear() == {"type": "pong", "id": 9}
