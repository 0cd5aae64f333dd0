"""A running `courant up` for clients that nobody here wrote: grpcio, websockets, buf."""

import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("COURANT_BIN", ROOT / "target/release/courant"))
SAMPLE = ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/two-columns.pdf"
LONG = ROOT / "tests/fixtures/pdf/cc-by-sa-4.0/pages-120.pdf"
# The bucket that tests write into, each below its own prefix.
BUCKET = "documents"
# The longest that anything may take on a slow and busy machine.
PATIENCE = 120


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("COURANT_")}


class Up:
    """A running `courant up` in a folder of its own."""

    def __init__(self, folder, flags=("--workers", "1"), environment=()):
        assert BIN.is_file(), f"there is no {BIN}; run: make build"
        self.data = folder / "data"
        command = [BIN, "up", "--data-dir", self.data, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--print-link"]
        self.log = open(folder / "log", "ab")
        self.process = subprocess.Popen(
            [*command, "--user", "alice", *flags],
            stdout=subprocess.PIPE,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            env=clean_environment() | dict(environment),
            start_new_session=True,
            text=True,
        )
        for line in self.process.stdout:
            if line.strip().startswith("stop"):
                break
        assert self.process.poll() is None, (folder / "log").read_text()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        note = json.loads((self.data / "up.json").read_text())
        self.grpc, self.http = note["grpc"], note["http"]
        self.user = self.token("alice")

    def courant(self, *arguments):
        """Runs a command to its end and gives back what it printed."""
        done = subprocess.run(
            [BIN, *arguments, "--data-dir", self.data],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=clean_environment(),
            check=True,
        )
        return done.stdout.strip()

    def token(self, user, *roles):
        return self.courant("token", "--sub", user, *(flag for role in roles for flag in ("--role", role)))

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def up(tmp_path_factory):
    running = Up(tmp_path_factory.mktemp("courant"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """What protoc makes of `proto/` for Python, as any user would."""
    out = tmp_path_factory.mktemp("stubs")
    protos = sorted(str(path) for path in (ROOT / "proto").rglob("*.proto"))
    flags = [f"-I{ROOT / 'proto'}", f"--python_out={out}", f"--grpc_python_out={out}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *flags, *protos], check=True)
    sys.path.insert(0, str(out))
    names = ["job_pb2", "job_service_pb2", "job_service_pb2_grpc", "worker_service_pb2", "worker_service_pb2_grpc"]
    return type("Stubs", (), {name: importlib.import_module(f"courant.v1.{name}") for name in names})


@pytest.fixture(scope="session")
def store():
    """A client of an S3 server that runs here, and has a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())

    def service(name, key="key", secret="secret"):
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
        return boto3.client(name, endpoint_url=endpoint, region_name="us-east-1", **keys)

    client = service("s3")
    client.create_bucket(Bucket=BUCKET)
    client.endpoint, client.service = endpoint, service
    yield client
    server.stop()


@pytest.fixture
def start_service(tmp_path):
    """Starts servers of their own, for the Python package; they end with the test."""
    from package import Service

    started = []

    def start(*flags, **options):
        started.append(Service(tmp_path / f"service-{len(started)}", *flags, **options))
        return started[-1]

    yield start
    for service in started:
        service.kill()


@pytest.fixture
def start_worker():
    """Starts workers as programs of their own; they end with the test."""
    from package import Script

    started = []

    def start(path, *arguments):
        started.append(Script(path, *arguments))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def channel(up):
    with grpc.insecure_channel(up.grpc) as channel:
        yield channel


def bearer(token):
    return [("authorization", f"Bearer {token}")]
