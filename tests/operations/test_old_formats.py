"""What earlier versions wrote is opened, and what is in it is whole (docs/upgrading.md): a fixture of each format that was ever written."""

import json
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import zlib

import msgpack
import pytest

from conftest import BIN, PATIENCE, ROOT, SAMPLE, clean_environment
from make_formats import FORMATS, SEALED, SMALL, events, facts, notifications, on_nats
from system import ready
from test_nats_away import Nats

# The fixtures grow old, and nothing of them may go.
FOR_EVER = ("--retention", "forever", "--notification-retention", "100years")


def unpack(name, folder):
    with tarfile.open(FORMATS / f"{name}.tar.xz") as fixture:
        fixture.extractall(folder)
    return json.loads((FORMATS / f"{name}.json").read_text())


def is_whole(system, wanted):
    """All that was in it can be read, followed from cursors of then, and worked on."""
    jobs = {name: job["jobId"] for name, job in wanted["jobs"].items()}
    assert {name: facts(system.job(job)) for name, job in jobs.items()} == wanted["jobs"]
    for name, cursor in wanted["cursors"].items():
        assert events(system, jobs[name], cursor) == wanted["events"][name], name
    assert notifications(system) == wanted["notifications"]
    for path in (SMALL, SAMPLE):
        system.succeeds(jobs[path.name], path)
    # Its password was sealed then.
    system.worker()
    assert system.succeeds(jobs["sealed"], SEALED)["pagesDone"] == 1
    # A submit of then, and one that is new.
    system.succeeds(system.submit())


@pytest.mark.parametrize("name", [file.name.removesuffix(".tar.xz") for file in sorted(FORMATS.glob("data-folder-*.xz"))])
def test_a_data_folder_is_whole(name, system):
    wanted = unpack(name, system.folder)
    shutil.copy(system.folder / "data/secret", system.secret)
    system.server(*FOR_EVER)
    system.bridge()
    is_whole(system, wanted)


@pytest.mark.parametrize("name", [file.name.removesuffix(".tar.xz") for file in sorted(FORMATS.glob("stream-*.xz"))])
def test_a_stream_is_whole_also_for_a_server_with_an_empty_data_folder(name, system):
    wanted = unpack(name, system.folder)
    shutil.rmtree(system.folder / "data")
    nats = Nats(system.folder / "nats")
    try:
        ready(system.server(*on_nats(nats, system.folder), *FOR_EVER))
        system.bridge()
        is_whole(system, wanted)
    finally:
        system.stop()
        nats.kill()


def records(path):
    """The records of a fixture, each after its length."""
    rest = path.read_bytes()
    while rest:
        (length,) = struct.unpack("<I", rest[:4])
        yield rest[4 : 4 + length]
        rest = rest[4 + length :]


def log_of_schema_1(folder):
    """A log as the first version made it, with one job's life in records of version 1."""
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "log.db") as log:
        log.executescript((FORMATS / "log-schema-1.sql").read_text())
        log.execute("INSERT INTO epoch VALUES (1, 4711, 0, 0, 0)")
        for revision, record in enumerate(records(ROOT / "crates/joblog/tests/fixtures/record_v1.bin"), 1):
            job = msgpack.unpackb(record[5:], strict_map_key=False)["Changed"]["job"]
            row = (revision, job["owner"], job["document"]["id"], job["id"], 0, record)
            log.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
            if job["state"] == "Succeeded":
                return
    raise AssertionError("the fixture's first job never succeeds")


def test_a_log_of_the_first_schema_is_brought_up(system):
    log_of_schema_1(system.folder / "data")
    server = system.server(*FOR_EVER)
    system.bridge()
    job = system.job("J")
    assert (job["state"], job["attempt"], job["pagesDone"], job["labels"]) == ("succeeded", 3, 3, {"team": "blue"})
    assert [attempt["error"]["code"] for attempt in job["attempts"]] == ["LOST", "BAD"]
    system.worker()
    system.succeeds(system.submit())
    server.stop()
    with sqlite3.connect(system.folder / "data/log.db") as log:
        assert log.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.mark.parametrize("file", ["log.db", "notices.db"])
def test_what_a_newer_version_wrote_is_refused_and_left_alone(file, system):
    unpack("data-folder-1", system.folder)
    path = system.folder / "data" / file
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    before = path.read_bytes()
    said = refused(path.parent)
    assert "has schema 99" in said and "use the newer version again" in said, said
    assert path.read_bytes() == before


@pytest.mark.parametrize("what", ["format", "fields"])
def test_an_entry_of_a_newer_version_ends_the_start_and_is_left_alone(what, system):
    """Fields more are a newer version, too: an older program would leave them out when it writes the job again."""
    unpack("data-folder-1", system.folder)
    data = system.folder / "data"
    with sqlite3.connect(data / "log.db") as log:
        revision, record = log.execute("SELECT revision, record FROM entry ORDER BY revision DESC LIMIT 1").fetchone()
        newer = bytes([99]) + record[1:] if what == "format" else with_more_fields(record)
        log.execute("UPDATE entry SET record = ? WHERE revision = ?", (newer, revision))
    log.close()
    said = refused(data)
    reason = "format 99" if what == "format" else "array had incorrect length"
    assert f"entry {revision} was written by a newer version of Courant ({reason}" in said, said
    assert "upgrade this program" in said and "damaged" not in said, said
    with sqlite3.connect(data / "log.db") as log:
        assert log.execute("SELECT record FROM entry WHERE revision = ?", (revision,)).fetchone() == (newer,)


def with_more_fields(record):
    """The same record, whose job has fields that nobody knows."""
    content = msgpack.unpackb(record[5:], strict_map_key=False)
    content["Changed"][1] += [None] * 100
    content = msgpack.packb(content)
    return record[:1] + struct.pack("<I", zlib.crc32(content)) + content


def refused(data):
    """What a server says that does not start on this folder."""
    command = [BIN.with_name("courant-server"), "--data-dir", data, "--grpc", "127.0.0.1:0", *FOR_EVER]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment())
    assert ended.returncode != 0
    return ended.stderr
