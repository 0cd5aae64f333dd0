"""Tokens of an identity provider that publishes its keys, signed by a library that nobody here wrote."""

import http.server
import json
import threading
import time
import urllib.error
import urllib.request

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from conftest import PATIENCE, Up, bearer

ISSUER, AUDIENCE = "https://id.example", "documents"


class Provider:
    """Signs tokens and publishes a key set."""

    def __init__(self):
        self.keys = {}
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                published = [
                    json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}
                    for kid, (key, algorithm, _) in provider.keys.items()
                ]
                body = json.dumps({"keys": published}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def token(self, kid, user, **more):
        key, _, name = self.keys[kid]
        claims = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600} | more
        return jwt.encode(claims, key, algorithm=name, headers={"kid": kid})


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    provider.keys["first"] = (key, jwt.algorithms.RSAAlgorithm, "RS256")
    yield provider
    provider.server.shutdown()


@pytest.fixture(scope="module")
def running(provider, tmp_path_factory):
    flags = ("--workers", "0", "--jwt-keys", provider.url, "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE)
    up = Up(tmp_path_factory.mktemp("identity"), flags)
    yield up
    up.stop()


def status(up, token):
    request = urllib.request.Request(f"http://{up.http}/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    try:
        return urllib.request.urlopen(request, timeout=PATIENCE).status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_providers_users_are_let_in_over_http_and_grpc_and_others_are_not(provider, running, stubs):
    token = provider.token("first", "carol")
    assert status(running, token) == 200
    with grpc.insecure_channel(running.grpc) as channel:
        jobs = stubs.job_service_pb2_grpc.JobServiceStub(channel)
        listed = jobs.ListJobs(stubs.job_service_pb2.ListJobsRequest(), metadata=bearer(token), timeout=PATIENCE)
        assert list(listed.jobs) == []
    assert status(running, running.token("alice")) == 200
    assert status(running, provider.token("first", "carol", aud="mail")) == 401
    assert status(running, provider.token("first", "carol", iss="courant", aud="courant")) == 401
    assert status(running, provider.token("first", "carol", exp=1000)) == 401


def test_a_new_key_is_found_by_itself(provider, running):
    assert status(running, provider.token("first", "carol")) == 200
    key = ec.generate_private_key(ec.SECP256R1())
    provider.keys["second"] = (key, jwt.algorithms.ECAlgorithm, "ES256")
    token = provider.token("second", "carol")
    deadline = time.monotonic() + PATIENCE
    answers = []
    while (found := status(running, token)) != 200:
        answers.append(found)
        assert time.monotonic() < deadline, answers
    # Both the server and the bridge said to try again, and nobody said that the token was bad while keys were fetched.
    assert answers and answers[0] == 503, answers
