"""Credentials of S3 in a file: found, replaced, and said to be wrong without being said."""

import json
import subprocess
import urllib.request

import pytest

from bucket import FLAGS, call, environment, submit, until
from conftest import BIN, BUCKET, PATIENCE, SAMPLE, Up, clean_environment


class Keys:
    """Keys of one user of the store, which from now on checks every signature."""

    def __init__(self, store):
        self.store, iam = store, store.service("iam")
        iam.create_user(UserName="courant")
        allowed = [{"Effect": "Allow", "Action": ["s3:*", "iam:*"], "Resource": "*"}]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        iam.put_user_policy(UserName="courant", PolicyName="all", PolicyDocument=policy)
        self.old, self.new = (iam.create_access_key(UserName="courant")["AccessKey"] for _ in range(2))
        self.check_after("0")

    def check_after(self, requests):
        body = {"data": requests.encode(), "headers": {"Content-Type": "text/plain"}}
        urllib.request.urlopen(urllib.request.Request(f"{self.store.endpoint}/moto-api/reset-auth", **body)).close()

    def delete_old(self):
        iam = self.store.service("iam", self.new["AccessKeyId"], self.new["SecretAccessKey"])
        iam.delete_access_key(UserName="courant", AccessKeyId=self.old["AccessKeyId"])


def text(key):
    return f"[default]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"


def test_credentials_are_read_from_a_file_and_replaced_while_the_server_runs(store, tmp_path):
    keys, file, log = Keys(store), tmp_path / "credentials", tmp_path / "log"
    file.write_text(text(keys.old))
    file.chmod(0o600)
    flags = (*FLAGS, "--objects", f"s3://{BUCKET}/keys", "--objects-credentials-file", str(file))
    up = Up(tmp_path, flags, environment(store))
    try:
        job_id = submit(up, SAMPLE)["jobId"]

        def says(words):
            # It looks at the file when it needs the store.
            call(up, f"/v1/jobs/{job_id}/document").read()
            return words in log.read_text()

        # Half a file is none, and the last one counts.
        file.write_text(text(keys.new)[:60])
        until("the log warns", lambda: says("credentials of the store cannot be read"))
        # As Kubernetes does it: another file takes its place.
        other = tmp_path / "next"
        other.write_text(text(keys.new))
        other.replace(file)
        until("the log tells", lambda: says("credentials of the store were replaced"))
        keys.delete_old()
        submit(up, SAMPLE)
        said = log.read_text()
        assert not any(key["SecretAccessKey"] in said for key in (keys.old, keys.new))
    finally:
        up.stop()
        keys.check_after("inf")


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "No such file"),
        (b"", "it has no line [default]"),
        (b"[default]\nsecret\n", "line 2 is neither [PROFILE] nor NAME = VALUE"),
        (b"[default]\naws_access_key_id = id\n", "it has no aws_secret_access_key below [default]"),
    ],
)
def test_a_file_of_credentials_that_cannot_be_used_is_said_at_start(tmp_path, content, why):
    file = tmp_path / "credentials"
    if content is not None:
        file.write_bytes(content)
    command = [BIN, "up", "--data-dir", tmp_path / "data", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    command += ["--objects", "s3://bucket/here", "--objects-credentials-file", file]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment())
    assert ended.returncode != 0 and f"--objects-credentials-file {file} cannot be used: {why}" in ended.stderr
