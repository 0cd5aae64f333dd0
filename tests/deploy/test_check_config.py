"""`--check-config`: what is wrong is said with its flag, all at once, and nothing is started or made."""

import subprocess

import pytest

from programs import BINARIES, PATIENCE, clean_environment

SERVER, BRIDGE, WORKER, UP = "courant-server", "courant-bridge", "courant-pdf-worker", "courant up"

# Program, its flags, and what is said of them. FOLDER is one with a good secret, a secret that others can read, and a text.
WRONG = [
    (SERVER, "--grpc nowhere", "--grpc"),
    (SERVER, "--no-such-flag", "--no-such-flag"),
    (SERVER, "--max-attempts 0", "--max-attempts must be 1 to 100"),
    (SERVER, "--max-attempts many", "--max-attempts"),
    (SERVER, "--owner-share 0", "--owner-share must be"),
    (SERVER, "--audit-log-files 1", "--audit-log-files must be 2 to 1000"),
    (SERVER, "--audit-rate-per-user 0", "--audit-rate-per-user must be"),
    (SERVER, "--audit-log /no/such/folder/audit.jsonl", "--audit-log: /no/such/folder/audit.jsonl cannot be made"),
    (SERVER, "--lease soon", "--lease"),
    (SERVER, "--small-file-bytes 1000000", "--small-file-bytes"),
    (SERVER, "--retention forevermore", "--retention"),
    (SERVER, "--secret-file FOLDER/open", "--secret-file: the secret file"),
    (SERVER, "--secret-file FOLDER/short", "--secret-file: the secret has 5 bytes"),
    (SERVER, "--secret-file /no/such/folder/secret", "--secret-file: /no/such/folder/secret cannot be made"),
    (SERVER, "--password-key-file FOLDER/open", "--password-key-file"),
    (SERVER, "--data-dir /dev/null", "--data-dir"),
    (SERVER, "--data-dir FOLDER/texts", "--data-dir"),
    (SERVER, "--objects nowhere", "--objects"),
    (SERVER, "--objects ftp://somewhere/else", "--objects"),
    (SERVER, "--objects s3://bucket/x --objects-credentials-file /no/such/file", "--objects-credentials-file"),
    (SERVER, "--objects-credentials-file FOLDER/secret", "--objects"),
    (SERVER, "--tls-cert FOLDER/text", "--tls-key"),
    (SERVER, "--tls-cert FOLDER/text --tls-key FOLDER/text", "--tls-cert: "),
    (SERVER, "--tls-cert /no/such/file --tls-key FOLDER/text", "--tls-cert: /no/such/file cannot be read"),
    (SERVER, "--tls-client-ca FOLDER/text", "--tls-cert"),
    (SERVER, "--jwt-keys /no/such/file --jwt-issuer i --jwt-audience a", "--jwt-keys /no/such/file"),
    (SERVER, "--jwt-keys http://example.org --jwt-issuer i --jwt-audience a", "https only"),
    (SERVER, "--jwt-keys FOLDER/text", "--jwt-keys needs --jwt-issuer"),
    (SERVER, "--log nats://127.0.0.1:1", "--objects"),
    (
        SERVER,
        "--log nats://127.0.0.1:1 --objects s3://b/x --password-key-file FOLDER/secret --log-credentials-file /no/such/file",
        "--log-credentials-file: /no/such/file",
    ),
    (SERVER, "--push-contact ops@example.org", "--push-contact"),
    (SERVER, "--webhook-allow nowhere", "--webhook-allow"),
    (SERVER, "--webhook-timeout 0s", "--webhook-timeout must be longer than 0s"),
    (SERVER, "--scaler-addr 50052", "--scaler-addr"),
    (BRIDGE, "", "--secret-file"),
    (BRIDGE, "--secret-file FOLDER/none", "--secret-file: cannot use"),
    (BRIDGE, "--secret-file FOLDER/secret --server here", "--server"),
    (BRIDGE, "--secret-file FOLDER/secret --server https://here:1 --server-ca FOLDER/text", "--server-ca: "),
    (BRIDGE, "--secret-file FOLDER/secret --server-ca FOLDER/text", "https://"),
    (BRIDGE, "--secret-file FOLDER/secret --public-url courant.example", '--public-url "courant.example"'),
    (BRIDGE, "--secret-file FOLDER/secret --allow-origin *", '--allow-origin "*"'),
    (BRIDGE, "--secret-file FOLDER/secret --max-connections 0", "--max-connections must be at least 1"),
    (BRIDGE, "--secret-file FOLDER/secret --log a=b=c", "--log-filter"),
    (BRIDGE, "--secret-file FOLDER/secret --otlp-endpoint collector:4318", "--otlp-endpoint"),
    (SERVER, "--log-filter a=b=c", "--log-filter"),
    (SERVER, "--trace-ratio 2", "--trace-ratio"),
    (WORKER, "", "--token"),
    (WORKER, "--token x --secret-file FOLDER/secret", "--secret-file"),
    (WORKER, "--token-file /no/such/file", "--token-file: cannot read"),
    (WORKER, "--token x --slots 0", "--slots"),
    (WORKER, "--token x --worker-id two,words", "--worker-id"),
    (WORKER, "--token x --server here", "--server"),
    (WORKER, "--token x --work-dir /no/such/folder", "--work-dir"),
    (WORKER, "--token x --ocr tesseract --tesseract no-such-program", "tesseract-ocr"),
    (WORKER, "--token x --server https://here:1 --ca /no/such/file", "--ca: /no/such/file cannot be read"),
    (UP, "--workers 1000", "--workers"),
    (UP, "--max-http-connections 0", "--max-http-connections must be at least 1"),
    (UP, "--log a=b=c", "--log-filter"),
    (UP, "--data-dir FOLDER/texts", "--data-dir"),
]


def check(program, flags, folder, environment=None):
    name, *rest = program.split()
    command = [BINARIES / name, *rest, "--check-config", *flags.replace("FOLDER", str(folder)).split()]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
        env=clean_environment() | (environment or {}),
    )


@pytest.mark.parametrize(("program", "flags", "said"), WRONG, ids=[f"{program} {flags}" for program, flags, _ in WRONG])
def test_what_is_wrong_is_said_with_its_flag(program, flags, said, folder):
    done = check(program, flags, folder)
    assert done.returncode == 2, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert said in done.stderr, done.stderr


def test_all_that_is_wrong_is_said_at_once_also_of_variables(folder):
    done = check(
        SERVER, "--max-attempts 0 --jwt-keys FOLDER/text", folder, {"COURANT_SECRET_FILE": str(folder / "open")}
    )
    assert done.returncode == 2
    for flag in ("--max-attempts", "--jwt-keys", "--secret-file"):
        assert flag in done.stderr, done.stderr


@pytest.mark.parametrize("program", [SERVER, BRIDGE, WORKER, UP])
def test_a_good_configuration_makes_and_starts_nothing(program, folder):
    flags = "" if program == UP else "--secret-file FOLDER/secret"
    before = sorted(folder.rglob("*"))
    done = check(program, flags, folder)
    assert done.returncode == 0, done.stderr
    assert "the configuration can be used" in done.stdout and not done.stderr
    assert sorted(folder.rglob("*")) == before
