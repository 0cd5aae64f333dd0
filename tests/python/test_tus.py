"""Uploads that go on after a cut, by a client of tus that nobody here wrote."""

import json
import urllib.request

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from conftest import LONG, PATIENCE, Up

CHUNK = 1 << 20


@pytest.fixture
def document(tmp_path):
    # A PDF may have anything behind its end.
    path = tmp_path / "täst.pdf"
    path.write_bytes(LONG.read_bytes() + b"%" + b"x" * (9 << 20))
    return path


def client(up, user="alice"):
    return TusClient(f"http://{up.http}/v1/uploads", headers={"Authorization": f"Bearer {up.token(user)}"})


def get(up, path):
    request = urllib.request.Request(f"http://{up.http}{path}")
    request.add_header("Authorization", f"Bearer {up.token('alice')}")
    return urllib.request.urlopen(request, timeout=PATIENCE).read()


def jobs(up):
    return json.loads(get(up, "/v1/jobs"))["jobs"]


def test_an_upload_survives_the_death_of_everything_and_becomes_a_job(tmp_path, document):
    metadata = {"filename": document.name, "lane": "premium", "labels": json.dumps({"team": "law"})}
    first = Up(tmp_path)
    uploader = client(first).uploader(str(document), chunk_size=CHUNK, metadata=metadata)
    uploader.upload(stop_at=5 * CHUNK)
    assert (uploader.offset, jobs(first)) == (5 * CHUNK, [])
    path = uploader.url.removeprefix(f"http://{first.http}")
    first.stop()
    second = Up(tmp_path)
    try:
        rest = client(second).uploader(str(document), url=f"http://{second.http}{path}", chunk_size=CHUNK)
        assert rest.offset == 5 * CHUNK
        rest.upload()
        (job,) = jobs(second)
        assert (job["filename"], job["labels"]) == (document.name, {"team": "law"})
        assert path == f"/v1/uploads/{job['jobId']}"
        assert get(second, f"/v1/jobs/{job['jobId']}/document") == document.read_bytes()
        # Whoever looks again finds it finished.
        assert rest.get_offset() == document.stat().st_size
    finally:
        second.stop()


def test_a_strangers_upload_is_none(up, document):
    uploader = client(up).uploader(str(document), chunk_size=CHUNK)
    uploader.upload(stop_at=CHUNK)
    with pytest.raises(TusCommunicationError) as refused:
        client(up, "mallory").uploader(str(document), url=uploader.url)
    assert refused.value.status_code == 404
