"""The configurations of nginx and HAProxy: each in front of a bridge and a server, for browsers and for gRPC."""

import json
import os
import re
import shutil
import ssl
import subprocess

import pytest
from websockets.sync.client import connect

from conftest import PATIENCE, ROOT, SAMPLE
from papers import Papers
from programs import free_port, until

pytestmark = pytest.mark.skipif(bool(os.environ.get("COURANT_SKIP_PROXY")), reason="left out on purpose")
PAGE = (ROOT / "docs/tls-and-identity.md").read_text()
# Debian keeps them where only root's path looks.
SBIN = os.environ["PATH"] + ":/usr/sbin"
NGINX = """daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{ }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; {recipe} }}"""


def recipe(name, system, papers, web, core):
    """A configuration of the page, with the addresses and files of this test."""
    (text,) = re.findall(rf"^```{name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    bridge = system.address.removeprefix("http://")
    for was, now in {
        "127.0.0.1:8080": bridge,
        "127.0.0.1:50051": system.grpc,
        "/etc/courant/tls": str(papers.folder),
        "listen 443": f"listen 127.0.0.1:{web}",
        "listen 50443": f"listen 127.0.0.1:{core}",
        "bind :443": f"bind 127.0.0.1:{web}",
        "bind :50443": f"bind 127.0.0.1:{core}",
    }.items():
        text = text.replace(was, now)
    return text


def command(name, folder, text):
    program = shutil.which(name, path=SBIN)
    assert program, f"this test needs {name}: run tests/setup/packages, or set COURANT_SKIP_PROXY=1"
    conf = folder / f"{name}.conf"
    conf.write_text(NGINX.format(folder=folder, recipe=text) if name == "nginx" else text)
    return [program, "-c", conf, "-e", folder / "error.log"] if name == "nginx" else [program, "-db", "-f", conf]


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_browsers_and_grpc_get_through(name, system, tmp_path):
    papers = Papers(tmp_path / "papers")
    cert, key = papers.sign("server")
    (papers.folder / "both.pem").write_bytes(cert.read_bytes() + key.read_bytes())
    system.server()
    web, core = free_port(), free_port()
    system.bridge("--public-url", f"https://localhost:{web}", "--trust-forwarded")
    system.worker()
    proxy = subprocess.Popen(command(name, tmp_path, recipe(name, system, papers, web, core)), stderr=subprocess.DEVNULL)
    try:
        system.trust, system.address = papers.ca, f"https://localhost:{web}"
        until(f"{name} to answer", lambda: answers(system))
        job = system.submit()
        system.succeeds(job)
        # The cookie is bound to the host that browsers know.
        status, headers, _ = system.ask("/v1/session", b"", "POST")
        assert status in (200, 204) and "__Host-courant=" in headers["Set-Cookie"] and "Secure" in headers["Set-Cookie"]
        trust = ssl.create_default_context(cafile=papers.ca)
        with connect(f"wss://localhost:{web}/ws", ssl=trust, origin=f"https://localhost:{web}") as socket:
            socket.send(json.dumps({"id": 1, "type": "auth", "token": system.user}))
            assert json.loads(socket.recv(timeout=PATIENCE))["type"] == "connected"
        grpc = ("--server", f"https://localhost:{core}", "--ca", papers.ca, "--token", system.user)
        assert job in system.courant("jobs", *grpc).stdout
        assert "succeeded" in system.courant("submit", SAMPLE, "--watch", "--json", *grpc).stdout
    finally:
        proxy.terminate()
        proxy.wait()


def answers(system):
    try:
        return system.ask("/readyz")[0] == 200
    except OSError:
        return False
