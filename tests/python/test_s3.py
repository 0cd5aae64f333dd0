"""Documents and results in an object store that speaks S3, by its URL."""

import hashlib
import json
import time
import urllib.request

import pytest
from tusclient.client import TusClient

from conftest import BUCKET, LONG, PATIENCE, Up

PREFIX = "courant/here"


@pytest.fixture(scope="module")
def running(store, tmp_path_factory):
    environment = {
        "AWS_ENDPOINT": store.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    # Small files would lie in the log.
    flags = ("--workers", "1", "--objects", f"s3://{BUCKET}/{PREFIX}", "--small-file-bytes", "0")
    up = Up(tmp_path_factory.mktemp("s3"), flags, environment)
    yield up
    up.stop()


def keys(store):
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/")
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def submit(up, path):
    job = json.loads(up.courant("submit", str(path), "--watch", "--json").splitlines()[-1])
    assert job["state"] == "succeeded", job
    return job


def get(up, job, **headers):
    request = urllib.request.Request(f"http://{up.http}/v1/jobs/{job['jobId']}/results/txt", headers=headers)
    request.add_header("Authorization", f"Bearer {up.token(job['owner'])}")
    return urllib.request.urlopen(request, timeout=PATIENCE)


def test_a_document_is_processed_and_its_results_are_read_whole_and_in_part(store, running):
    job = submit(running, LONG)
    # The draft is removed in the background.
    while not all(key.startswith(f"{PREFIX}/jobs/{job['jobId']}/") for key in keys(store)):
        time.sleep(0.02)
    found = keys(store)
    document = next(key for key in found if "/document-" in key)
    kept = store.get_object(Bucket=BUCKET, Key=document)["Body"].read()
    assert hashlib.sha256(kept).hexdigest() == hashlib.sha256(LONG.read_bytes()).hexdigest()
    whole = get(running, job)
    text = whole.read()
    assert whole.headers["ETag"].strip('"') == hashlib.sha256(text).hexdigest()
    part = get(running, job, Range="bytes=100-199")
    assert (part.status, part.read()) == (206, text[100:200])
    assert not (running.data / "objects").exists()


def test_a_document_larger_than_a_part_comes_through_whole(store, running, tmp_path):
    # A PDF may have anything behind its end; 12 MiB take three parts.
    large = tmp_path / "large.pdf"
    large.write_bytes(LONG.read_bytes() + b"%" + b"x" * (12 << 20))
    job = submit(running, large)
    document = next(key for key in keys(store) if f"/{job['jobId']}/document-" in key)
    head = store.head_object(Bucket=BUCKET, Key=document)
    assert head["ContentLength"] == large.stat().st_size


def test_an_upload_in_pieces_lies_in_the_bucket_until_it_is_a_document(store, running, tmp_path):
    large = tmp_path / "pieces.pdf"
    large.write_bytes(LONG.read_bytes() + b"%" + b"x" * (9 << 20))
    headers = {"Authorization": f"Bearer {running.token('alice')}"}
    client = TusClient(f"http://{running.http}/v1/uploads", headers=headers)
    uploader = client.uploader(str(large), chunk_size=5 << 20)
    uploader.upload_chunk()
    pieces = [key for key in keys(store) if key.startswith(f"{PREFIX}/resumable/") and "/piece-" in key]
    assert len(pieces) == 2, pieces
    uploader.upload()
    job = uploader.url.rsplit("/", 1)[1]
    document = next(key for key in keys(store) if f"/{job}/document-" in key)
    assert store.get_object(Bucket=BUCKET, Key=document)["Body"].read() == large.read_bytes()
    assert not [key for key in keys(store) if "/resumable/" in key]
