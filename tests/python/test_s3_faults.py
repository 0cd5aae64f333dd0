"""An object store that speaks S3, on bad days: it is busy, loses answers, goes away, and forgets what it was asked."""

import hashlib
import http.client
import itertools
import json
import os
import threading
import urllib.error
import urllib.request

import grpc
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from bucket import begin, call, document, end, large, start, submit, until
from conftest import BUCKET, LONG, PATIENCE, bearer
from faulty_store import BROKEN, BUSY, CUT, GONE, LOST, FaultyStore


@pytest.fixture(scope="module")
def faulty(store):
    proxy = FaultyStore(store.endpoint)
    yield proxy
    proxy.stop()


@pytest.fixture
def healthy(faulty):
    """Ends what a story did to the store."""
    yield faulty
    faulty.fault = lambda request: None
    faulty.hidden = set()


@pytest.fixture(scope="module")
def running(faulty, tmp_path_factory):
    up = start(tmp_path_factory.mktemp("faults"), faulty, "faults")
    yield up
    up.stop()


def first_time(faults):
    """Each request has one of these faults when it comes for the first time."""
    known, lock, faults = set(), threading.Lock(), itertools.cycle(faults)

    def fault(request):
        # Ids of parts are new each time.
        what = (request.command, request.path.split("&uploadId")[0], request.headers.get("Range"))
        # Some stores know no upload in parts that was completed: so it looks to who asks again.
        ends_upload = request.command == "POST" and "uploadId=" in request.path
        with lock:
            if what in known:
                return GONE if ends_upload else None
            known.add(what)
            return LOST if ends_upload else next(faults)

    return fault


def test_a_busy_store_that_loses_answers_costs_time_and_nothing_else(store, running, healthy, tmp_path):
    healthy.fault = first_time([BUSY, LOST, None, CUT, BROKEN, None, None])
    path = large(tmp_path / "large.pdf", 12)
    submitted = submit(running, path)
    assert submitted["attempt"] == 1 and document(store, submitted) == path.read_bytes()
    text = call(running, f"/v1/jobs/{submitted['jobId']}/results/txt")
    assert text.headers["ETag"].strip('"') == hashlib.sha256(text.read()).hexdigest()


def test_pieces_whose_answers_get_lost_are_written_once(store, running, healthy, tmp_path):
    healthy.fault = first_time([LOST])
    path = large(tmp_path / "pieces.pdf", 9)
    client = TusClient(f"http://{running.http}/v1/uploads", headers={"Authorization": f"Bearer {running.user}"})
    uploader = client.uploader(str(path), chunk_size=5 << 20)
    uploader.upload()
    assert document(store, {"jobId": uploader.url.rsplit("/", 1)[1]}) == path.read_bytes()


def test_a_store_that_goes_away_in_mid_job_is_waited_for_and_said_to_be_away(store, running, healthy):
    away = threading.Event()

    def fault(request):
        if "/pages/000010" in request.path:
            away.set()
        return BUSY if away.is_set() else None

    def ready():
        try:
            return urllib.request.urlopen(f"http://{running.http}/readyz", timeout=PATIENCE).read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    healthy.fault = fault
    submitted = begin(running, LONG)
    assert away.wait(PATIENCE)
    until("it says that the store is away", lambda: "store" in ready())
    with pytest.raises(urllib.error.HTTPError) as refused:
        begin(running, LONG)
    said = json.load(refused.value)
    assert (refused.value.code, said["code"]) == (503, "STORAGE_UNAVAILABLE"), said
    healthy.fault = lambda request: None
    until("it says that the store is back", lambda: "store" not in ready())
    ended = end(running, submitted)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 1), ended
    assert document(store, ended) == LONG.read_bytes()


def test_reads_that_are_cut_off_go_on_whole_and_in_part(store, running, healthy, stubs, tmp_path):
    path = large(tmp_path / "cut.pdf", 12)
    submitted, content = submit(running, path), path.read_bytes()
    healthy.fault = lambda request: ("after", 1 << 20) if request.command == "GET" else None
    address = f"/v1/jobs/{submitted['jobId']}/document"
    assert call(running, address).read() == content
    healthy.fault = lambda request: ("after", 3 << 20) if request.command == "GET" else None
    part = call(running, address, Range="bytes=1000-9000000")
    assert (part.status, part.read()) == (206, content[1000:9000001])
    request = stubs.job_service_pb2.DownloadDocumentRequest(job_id=submitted["jobId"], offset=5_000_000, limit=4_000_000)
    with grpc.insecure_channel(running.grpc) as channel:
        service = stubs.job_service_pb2_grpc.JobServiceStub(channel)
        pieces = service.DownloadDocument(request, metadata=bearer(running.user), timeout=PATIENCE)
        assert b"".join(piece.chunk for piece in pieces) == content[5_000_000:9_000_000]


def test_a_large_document_takes_no_more_memory_than_a_few_parts(running):
    size = 200 << 20
    block, sent, got = os.urandom(1 << 20), hashlib.sha256(), hashlib.sha256()

    def blocks():
        for _ in range(size >> 20):
            sent.update(block)
            yield block

    def peak():
        lines = open(f"/proc/{running.process.pid}/status").read().splitlines()
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))

    before = peak()
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    address = json.load(call(running, "/v1/jobs?kind=words", "POST", blocks(), **headers))["job"]["jobId"]
    body = call(running, f"/v1/jobs/{address}/document")
    while piece := body.read(1 << 20):
        got.update(piece)
    assert got.digest() == sent.digest()
    assert peak() - before < 100, f"{before} MiB before, {peak()} MiB after"


def test_parts_that_a_killed_server_left_are_aborted_by_the_next_one(store, tmp_path):
    unfinished = lambda: store.list_multipart_uploads(Bucket=BUCKET, Prefix="killed/").get("Uploads", [])
    first = start(tmp_path, store, "killed")
    host, port = first.http.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    connection.putrequest("POST", "/v1/jobs")
    for name, value in (("Authorization", f"Bearer {first.user}"), ("Content-Type", "application/pdf")):
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(40 << 20))
    connection.endheaders(LONG.read_bytes() + bytes(20 << 20))
    until("parts are in the store", unfinished)
    first.stop()
    connection.close()
    assert unfinished()
    # The store says of each upload that it was begun in 2010.
    second = start(tmp_path, store, "killed")
    try:
        until("they are aborted", lambda: not unfinished())
    finally:
        second.stop()


def test_a_store_that_writes_over_what_is_there_is_found_out(store, healthy, tmp_path):
    healthy.hidden = {"if-none-match"}
    up = start(tmp_path, healthy, "overwriting")
    try:
        submit(up, LONG)
        client = TusClient(f"http://{up.http}/v1/uploads", headers={"Authorization": f"Bearer {up.user}"})
        with pytest.raises(TusCommunicationError) as refused:
            client.uploader(str(LONG), chunk_size=1 << 20).upload()
        assert "If-None-Match" in refused.value.response_content.decode()
        until("the log says so", lambda: "uploads in pieces are refused" in (tmp_path / "log").read_text())
    finally:
        up.stop()
