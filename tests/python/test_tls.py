"""TLS on both faces, and mutual TLS to the core, for clients that nobody here wrote."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from conftest import BIN, PATIENCE, SAMPLE, Up, bearer, clean_environment
from papers import DAY, NOW, Papers
from test_grpc import document
from test_websocket import hear, say


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def safe(papers, tmp_path_factory):
    """A `courant up` with TLS for browsers and mutual TLS for everybody else."""
    cert, key = papers.sign("up")
    flags = ["--workers", "1", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", papers.ca, "--tls-reload", "200ms"]
    running = Up(tmp_path_factory.mktemp("safe"), flags)
    yield running
    running.stop()


def believing(papers):
    return ssl.create_default_context(cafile=papers.ca)


def channel(address, papers, identity=None):
    read = lambda path: path.read_bytes()
    cert, key = map(read, identity) if identity else (None, None)
    credentials = grpc.ssl_channel_credentials(papers.ca.read_bytes(), key, cert)
    return grpc.secure_channel(address.removeprefix("https://"), credentials)


def submit_and_watch(stubs, channel, token):
    pb, jobs = stubs.job_service_pb2, stubs.job_service_pb2_grpc.JobServiceStub(channel)
    answer = jobs.SubmitJob(document(stubs, SAMPLE), metadata=bearer(token), timeout=PATIENCE)
    watch = pb.WatchJobRequest(job_id=answer.job.job_id, after_cursor=answer.cursor)
    steps = list(jobs.WatchJob(watch, metadata=bearer(token), timeout=PATIENCE))
    return [step.event.WhichOneof("change") for step in steps if step.HasField("event")]


def refused(stubs, channel, token):
    jobs = stubs.job_service_pb2_grpc.JobServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        jobs.GetJob(stubs.job_service_pb2.GetJobRequest(job_id="0" * 26), metadata=bearer(token), timeout=PATIENCE)
    return caught.value.code()


def test_websocket_and_http(safe, papers):
    trust, token = believing(papers), safe.token("alice")
    with connect(f"wss://{safe.http}/ws", ssl=trust, subprotocols=["courant.v1.json"]) as client:
        say(client, id=1, type="auth", token=token)
        assert hear(client, "connected", "auth-error")["user"] == "alice"
        request = urllib.request.Request(
            f"https://{safe.http}/v1/jobs?name=a.pdf",
            data=SAMPLE.read_bytes(),
            headers={"authorization": f"Bearer {token}", "content-type": "application/pdf"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE, context=trust) as answer:
            submitted = json.load(answer)
        job = submitted["job"]["jobId"]
        say(client, id=2, type="subscribe", topic=f"job/{job}", after=submitted["cursor"])
        assert hear(client, "job-completed", "job-failed", "job-cancelled")["type"] == "job-completed"


def test_a_browser_that_speaks_no_tls_is_told_so(safe):
    host, port = safe.http.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = plain.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https://" in answer
    with pytest.raises(InvalidStatus):
        connect(f"ws://{safe.http}/ws", open_timeout=PATIENCE)


def test_a_browser_does_not_believe_a_stranger(safe, stranger):
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(f"wss://{safe.http}/ws", ssl=believing(stranger))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_and_protocols(safe, papers, version):
    for address, offered, chosen in [
        (safe.http, ["h2", "http/1.1"], "h2"),
        (safe.http, ["http/1.1"], "http/1.1"),
        (safe.grpc, ["h2"], "h2"),
    ]:
        trust = believing(papers)
        trust.minimum_version = trust.maximum_version = version
        trust.set_alpn_protocols(offered)
        trust.load_cert_chain(*papers.sign("version"))
        host, port = address.removeprefix("https://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
            with trust.wrap_socket(plain, server_hostname=host) as safe_socket:
                assert safe_socket.selected_alpn_protocol() == chosen


def test_old_versions_are_refused(safe, papers):
    trust = believing(papers)
    with pytest.warns(DeprecationWarning):
        trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
    host, port = safe.http.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
        with pytest.raises(ssl.SSLError):
            trust.wrap_socket(plain, server_hostname=host)


def test_grpc_with_a_certificate(safe, stubs, papers):
    with channel(safe.grpc, papers, papers.sign("client")) as mine:
        changes = submit_and_watch(stubs, mine, safe.token("alice"))
    assert changes[0] == "queued" and changes[-1] == "succeeded"


def test_grpc_without_one_or_with_a_strangers(safe, stubs, papers, stranger):
    token = safe.token("alice")
    unavailable = grpc.StatusCode.UNAVAILABLE
    with channel(safe.grpc, papers) as without:
        assert refused(stubs, without, token) == unavailable
    with channel(safe.grpc, papers, stranger.sign("client")) as foreign:
        assert refused(stubs, foreign, token) == unavailable
    with channel(safe.grpc, stranger, papers.sign("client")) as distrusting:
        assert refused(stubs, distrusting, token) == unavailable
    with grpc.insecure_channel(safe.grpc.removeprefix("https://")) as plain:
        assert refused(stubs, plain, token) == unavailable


def run(*arguments, **more):
    return subprocess.run(
        [BIN, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=clean_environment() | more
    )


def test_commands_find_a_safe_up_by_its_folder_and_by_its_address(safe, papers, stranger, tmp_path):
    assert safe.courant("submit", SAMPLE, "--watch")
    cert, key = papers.sign("operator")
    there = ["jobs", "--server", safe.grpc, "--token", safe.token("alice"), "--data-dir", tmp_path]
    done = run(*there, "--ca", papers.ca, "--cert", cert, "--key", key)
    assert done.returncode == 0, done.stderr
    by_environment = run(*there, COURANT_CA=str(papers.ca), COURANT_CERT=str(cert), COURANT_KEY=str(key))
    assert by_environment.stdout == done.stdout
    for flags, why in [
        # In TLS 1.3 a client hears only after its handshake that it lacks one: mostly why, sometimes no more than the end.
        (["--ca", papers.ca], "courant: "),
        (["--ca", stranger.ca, "--cert", cert, "--key", key], "ertificate"),
        (["--ca", tmp_path / "none.pem"], "none.pem cannot be read"),
        (["--ca", papers.ca, "--cert", cert, "--key", papers.sign("other")[1]], "does not belong to"),
        (["--ca", papers.ca, "--cert", cert], "--key"),
    ]:
        done = run(*there, *flags)
        assert done.returncode != 0 and why in done.stderr, (flags, done.stderr)


def test_bad_files_are_refused_at_the_start(papers, tmp_path):
    cert, key = papers.sign("good")
    old_cert, old_key = papers.sign("old", until=NOW - DAY)
    up = ["up", "--data-dir", tmp_path / "data", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--workers", "0"]
    for flags, why in [
        (["--tls-cert", tmp_path / "none.pem", "--tls-key", key], "none.pem cannot be read"),
        (["--tls-cert", cert, "--tls-key", papers.sign("else")[1]], "does not belong to"),
        (["--tls-cert", old_cert, "--tls-key", old_key], "was valid until"),
        (["--tls-cert", cert], "--tls-key"),
        (["--tls-client-ca", papers.ca], "--tls-cert"),
    ]:
        done = run(*up, *flags)
        assert done.returncode != 0 and why in done.stderr, (flags, done.stderr)


def test_a_renewed_certificate_is_shown_without_a_restart(safe, papers):
    def shown():
        """By each of the two faces: they look at the files on their own."""
        faces = [address.removeprefix("https://").split(":") for address in (safe.http, safe.grpc)]
        return {ssl.get_server_certificate((host, int(port)), timeout=PATIENCE) for host, port in faces}

    before = shown()
    cert, key = papers.sign("renewed")
    shutil.copy(key, papers.folder / "up.key")
    shutil.copy(cert, papers.folder / "up.pem")
    deadline = time.monotonic() + PATIENCE
    while shown() & before and time.monotonic() < deadline:
        pass
    assert shown() == {cert.read_text()}
    # The parts of the process know each other by the new one, and commands find it.
    assert safe.courant("submit", SAMPLE, "--watch")


class Program:
    """A program that logs where it listens."""

    def __init__(self, name, *arguments, says, **environment):
        command = [BIN.with_name(name), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=clean_environment() | environment, start_new_session=True
        )
        self.said = []
        # One that never says it fails the story instead of holding it up.
        patience = threading.Timer(PATIENCE, self.process.kill)
        patience.start()
        for line in self.process.stderr:
            self.said.append(line)
            if says in line:
                break
        patience.cancel()
        assert says in "".join(self.said[-1:]), self.said

    def address(self, field):
        return self.said[-1].split(f"{field}=")[1].split()[0]

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()


def test_programs_of_their_own_know_each_other_by_certificates(papers, tmp_path):
    (cert, key), (own, own_key) = papers.sign("server"), papers.sign("bridge")
    data, secret, started = tmp_path / "data", tmp_path / "data/secret", []

    def start(name, *arguments, **more):
        started.append(Program(name, *arguments, **more))
        return started[-1]

    try:
        tls = ["--tls-cert", cert, "--tls-key", key]
        quiet = {"RUST_LOG": "info", "COURANT_LOG": "info", "NO_COLOR": "1"}
        server = start(
            "courant-server", "--grpc", "127.0.0.1:0", "--data-dir", data, *tls, "--tls-client-ca", papers.ca,
            says="serving gRPC", **quiet,
        )
        core = f"https://{server.address('address')}"
        ours = ["--server", core, "--secret-file", secret, "--server-ca", papers.ca]
        shown = ["--server-cert", own, "--server-key", own_key]
        bridge = start("courant-bridge", "--listen", "127.0.0.1:0", *tls, *ours, *shown, says="listening", **quiet)
        worker = ["--server", core, "--worker-id", "w", "--secret-file", secret, "--ca", papers.ca]
        start("courant-pdf-worker", *worker, "--cert", own, "--key", own_key, says="connected", **quiet)
        token = run("token", "--sub", "alice", "--data-dir", data).stdout.strip()
        trust = believing(papers)
        address = bridge.address("listen")
        request = urllib.request.Request(
            f"https://{address}/v1/jobs?name=a.pdf", data=SAMPLE.read_bytes(),
            headers={"authorization": f"Bearer {token}", "content-type": "application/pdf"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE, context=trust) as answer:
            submitted = json.load(answer)
        with connect(f"wss://{address}/ws", ssl=trust) as client:
            say(client, id=1, type="auth", token=token)
            say(client, id=2, type="subscribe", topic=f"job/{submitted['job']['jobId']}", after=submitted["cursor"])
            assert hear(client, "job-completed", "job-failed")["type"] == "job-completed"
        # Without a certificate the way to the core is closed, to bridges and to workers.
        outside = start("courant-bridge", "--listen", "127.0.0.1:0", *ours, says="listening", **quiet)
        queue = urllib.request.Request(
            f"http://{outside.address('listen')}/v1/queue", headers={"authorization": f"Bearer {token}"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(queue, timeout=PATIENCE)
        assert json.load(caught.value)["code"] == "SERVER_UNAVAILABLE"
        start("courant-pdf-worker", *worker, says="CertificateRequired", **quiet)
    finally:
        for program in reversed(started):
            program.stop()
