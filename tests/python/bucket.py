"""Courant with its documents in a bucket of S3, as a user of it sees it."""

import json
import os
import time
import urllib.request

from conftest import BUCKET, LONG, PATIENCE, Up

# Small files would lie in the log.
FLAGS = ("--workers", "1", "--small-file-bytes", "0")


def start(folder, store, prefix, *flags):
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    return Up(folder, (*FLAGS, "--objects", f"s3://{BUCKET}/{prefix}", *flags), environment(store) | keys)


def environment(store):
    return {"AWS_ENDPOINT": store.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}


def large(path, megabytes):
    # A PDF may have anything behind its end.
    path.write_bytes(LONG.read_bytes() + b"%" + os.urandom(megabytes << 20))
    return path


def call(up, path, method="GET", body=None, **headers):
    request = urllib.request.Request(f"http://{up.http}{path}", data=body, headers=headers, method=method)
    request.add_header("Authorization", f"Bearer {up.user}")
    return urllib.request.urlopen(request, timeout=PATIENCE)


def begin(up, path):
    return json.load(call(up, "/v1/jobs", "POST", path.read_bytes(), **{"Content-Type": "application/pdf"}))["job"]


def submit(up, path):
    ended = end(up, begin(up, path))
    assert ended["state"] == "succeeded", ended
    return ended


def end(up, submitted):
    """The job, once it has ended."""
    known = [submitted]

    def has_ended():
        known[0] = json.load(call(up, f"/v1/jobs/{submitted['jobId']}"))["job"]
        return known[0]["endTime"]

    until("the job ends", has_ended)
    return known[0]


def document(store, submitted):
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    (key,) = [key for key in keys if f"/{submitted['jobId']}/document-" in key]
    return store.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def until(what, is_so):
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < PATIENCE, f"in vain: {what}"
        time.sleep(0.02)
