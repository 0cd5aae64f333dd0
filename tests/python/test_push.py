"""Web Push, opened and checked by libraries nobody here wrote: `http_ece` (RFC 8188, RFC 8291) and PyJWT (RFC 8292)."""

import base64
import http.server
import json
import os
import queue
import threading
import urllib.error
import urllib.request

import http_ece
import jwt
import pytest
from conftest import PATIENCE, SAMPLE, Up
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def service():
    """A push service: whatever is posted to it is put into a queue."""
    arrived = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived.put((self.path, self.headers, body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.arrived = arrived
    server.origin = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()


def ask(up, token, method, path, body=None):
    request = urllib.request.Request(
        f"http://{up.http}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.status, answer.read()


def test_a_browser_that_is_away_is_sent_what_only_it_can_read(tmp_path, service):
    flags = ("--workers", "1", "--push-contact", "mailto:ops@example.org", "--push-services", service.origin)
    up = Up(tmp_path, flags)
    try:
        token = up.token("alice")
        key = json.loads(ask(up, token, "GET", "/v1/push/key")[1])["publicKey"]

        mine, auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        public = mine.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        endpoint = f"{service.origin}/send/abc"
        subscription = {
            "endpoint": endpoint,
            "expirationTime": None,
            "keys": {"p256dh": base64url(public), "auth": base64url(auth)},
        }
        assert ask(up, token, "PUT", "/v1/push/subscriptions", subscription)[0] == 204
        up.courant("submit", str(SAMPLE), "--watch", "--token", token, "--server", f"http://{up.grpc}")

        path, headers, body = service.arrived.get(timeout=PATIENCE)
        assert path == "/send/abc"
        opened = http_ece.decrypt(body, private_key=mine, auth_secret=auth, version="aes128gcm")
        letter = json.loads(opened)
        assert letter["kind"] == "job-succeeded" and letter["title"] == "two-columns.pdf succeeded", letter

        scheme, parameters = headers["Authorization"].split(" ", 1)
        fields = dict(part.strip().split("=", 1) for part in parameters.split(","))
        assert scheme == "vapid" and fields["k"] == key
        signer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes_of(key))
        claims = jwt.decode(fields["t"], signer, algorithms=["ES256"], audience=service.origin)
        assert claims["sub"] == "mailto:ops@example.org"

        with pytest.raises(urllib.error.HTTPError) as refused:
            elsewhere = subscription | {"endpoint": "https://push.example.org/x"}
            ask(up, token, "PUT", "/v1/push/subscriptions", elsewhere)
        assert refused.value.code == 400 and b"--push-services" in refused.value.read()
        other = subscription | {"endpoint": f"{service.origin}/send/other"}
        assert ask(up, token, "PUT", "/v1/push/subscriptions", other)[0] == 204
        assert ask(up, token, "DELETE", "/v1/push/subscriptions", {"endpoint": endpoint})[0] == 204
        for _ in range(2):
            up.courant("submit", str(SAMPLE), "--watch", "--token", token, "--server", f"http://{up.grpc}")
            assert service.arrived.get(timeout=PATIENCE)[0] == "/send/other"
        assert base64url(auth) not in (tmp_path / "log").read_text()
    finally:
        up.stop()


def test_where_it_is_off_there_is_no_key(up):
    assert json.loads(ask(up, up.token("alice"), "GET", "/v1/push/key")[1]) == {"publicKey": None}
