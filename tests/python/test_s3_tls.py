"""A store whose certificate an authority of one's own has signed."""

import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from bucket import call, document, start, submit, until
from conftest import BUCKET, LONG
from papers import Papers
from programs import free_port


@pytest.fixture
def papers(tmp_path):
    return Papers(tmp_path / "papers")


@pytest.fixture
def store(papers):
    cert, key = papers.sign("store")
    port = free_port()
    flags = ["-H", "127.0.0.1", "-p", str(port), "-s", "-c", cert, "-k", key]
    server = subprocess.Popen([Path(sys.executable).with_name("moto_server"), *flags], stderr=subprocess.DEVNULL)
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    endpoint = f"https://127.0.0.1:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", verify=str(papers.ca), **keys)
    client.endpoint = endpoint
    until("the store answers", lambda: has_bucket(client))
    yield client
    server.kill()
    server.wait()


def has_bucket(client):
    try:
        client.create_bucket(Bucket=BUCKET)
        return True
    except EndpointConnectionError:
        return False


def status(up, path):
    try:
        return call(up, path).status
    except HTTPError as error:
        return error.code


def test_documents_go_there_with_its_authority_and_not_without(tmp_path, store, papers, monkeypatch):
    folder = tmp_path / "up"
    folder.mkdir()
    up = start(folder, store, "tls")
    until("the log says why", lambda: "invalid peer certificate: UnknownIssuer" in (folder / "log").read_text())
    until("it is not ready", lambda: status(up, "/readyz") == 503)
    up.stop()
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.ca))
    up = start(folder, store, "tls")
    try:
        assert document(store, submit(up, LONG)) == LONG.read_bytes()
    finally:
        up.stop()
