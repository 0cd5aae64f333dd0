"""KEDA's own client, generated from its proto, asks how many workers the queue needs."""

import importlib
import subprocess
import sys

import grpc
import pytest

from programs import BINARIES, PATIENCE, ROOT, SAMPLE, clean_environment

PROTO = ROOT / "crates/proto/keda"
ADDRESS = r"{} address=(\S+)"


@pytest.fixture(scope="module")
def keda(tmp_path_factory):
    out = tmp_path_factory.mktemp("keda")
    flags = [f"-I{PROTO}", f"--python_out={out}", f"--grpc_python_out={out}", str(PROTO / "externalscaler.proto")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *flags], check=True)
    sys.path.insert(0, str(out))
    pb, services = importlib.import_module("externalscaler_pb2"), importlib.import_module("externalscaler_pb2_grpc")
    return type("Keda", (), {"pb": pb, "Stub": services.ExternalScalerStub})


class Queue:
    """A server that KEDA may ask, and what puts jobs into its queue."""

    def __init__(self, start, keda, secret, data):
        self.secret, self.data, self.pb = secret, data, keda.pb
        flags = ["--grpc", "127.0.0.1:0", "--scaler-addr", "127.0.0.1:0", "--secret-file", secret, "--data-dir", data]
        server = start(BINARIES / "courant-server", *flags)
        self.scaler = server.wait_for(ADDRESS.format("answering KEDA"))[1]
        self.grpc = server.wait_for(ADDRESS.format("serving gRPC"))[1]
        self.asked = keda.Stub(grpc.insecure_channel(self.scaler))

    def reference(self, **metadata):
        # As KEDA sends it: the metadata of the trigger as it stands in the manifest.
        metadata = {"scalerAddress": "courant-server.courant.svc:50052"} | metadata
        return self.pb.ScaledObjectRef(name="courant-worker", namespace="courant", scalerMetadata=metadata)

    def slots(self, **metadata):
        request = self.pb.GetMetricsRequest(scaledObjectRef=self.reference(**metadata), metricName="courant-slots")
        (value,) = self.asked.GetMetrics(request, timeout=PATIENCE).metricValues
        assert value.metricValue == value.metricValueFloat
        return value.metricValue

    def submit(self, jobs, *flags):
        # The token of a data folder is made from the secret in it.
        connection = ["--server", f"http://{self.grpc}", "--data-dir", self.secret.parent, "--user", "alice"]
        command = [BINARIES / "courant", "submit", *connection, *flags, *[SAMPLE] * jobs]
        subprocess.run(command, check=True, timeout=PATIENCE, env=clean_environment(), stdout=subprocess.DEVNULL)


@pytest.fixture
def queue(start, keda, secret, tmp_path):
    return Queue(start, keda, secret, tmp_path / "data")


def test_workers_are_asked_for_as_jobs_wait_and_no_more_when_they_are_done(queue, start):
    (spec,) = queue.asked.GetMetricSpec(queue.reference(slotsPerWorker="4"), timeout=PATIENCE).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("courant-slots", 4, 4.0)
    active = queue.asked.StreamIsActive(queue.reference(), timeout=PATIENCE)
    assert not next(active).result and queue.slots() == 0
    queue.submit(9)
    assert next(state for state in active if state.result).result
    # Before anything was measured: one worker; never more slots than jobs.
    assert queue.slots() == 2 and queue.slots(slotsPerWorker="4") == 4 and queue.slots(slotsPerWorker="64") == 9
    assert queue.asked.IsActive(queue.reference(), timeout=PATIENCE).result
    # Jobs of another kind need other workers.
    assert not queue.asked.IsActive(queue.reference(kind="audio"), timeout=PATIENCE).result
    flags = ["--server", f"http://{queue.grpc}", "--secret-file", queue.secret, "--worker-id", "one", "--ocr", "off"]
    start(BINARIES / "courant-pdf-worker", *flags)
    assert not next(state for state in active if not state.result).result
    assert queue.slots() == 0


def test_what_cannot_be_meant_is_refused_by_its_name(queue):
    for name, wrong in [("targetWait", "soon"), ("slotsPerWorker", "0"), ("kind", "NOT A KIND")]:
        with pytest.raises(grpc.RpcError) as refused:
            queue.asked.IsActive(queue.reference(**{name: wrong}), timeout=PATIENCE)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT and name in refused.value.details()
    with pytest.raises(grpc.RpcError) as refused:
        queue.asked.GetMetrics(queue.pb.GetMetricsRequest(scaledObjectRef=queue.reference(), metricName="other"))
    assert "courant-slots" in refused.value.details()


def test_the_address_for_keda_has_nothing_else_and_the_public_one_not_this(queue, keda):
    with pytest.raises(grpc.RpcError) as refused:
        keda.Stub(grpc.insecure_channel(queue.grpc)).IsActive(queue.reference(), timeout=PATIENCE)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    jobs = grpc.insecure_channel(queue.scaler).unary_unary("/courant.v1.QueueService/GetQueue")
    with pytest.raises(grpc.RpcError) as refused:
        jobs(b"", timeout=PATIENCE)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    # KEDA then keeps asking for the specification.
    with pytest.raises(grpc.RpcError) as refused:
        next(queue.asked.StreamMetricSpec(queue.reference(), timeout=PATIENCE))
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
