"""Courant's programs by themselves, as an operator runs them."""

import hashlib
import json
import re
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request

from conftest import BIN, PATIENCE, SAMPLE, clean_environment
from programs import Program, until

METRICS = ("--metrics-addr", "127.0.0.1:0")


class System:
    """A server, bridges and workers of one secret. Each is started when a test wants it."""

    def __init__(self, folder):
        self.folder, self.programs = folder, []
        self.secret = folder / "secret"
        self.secret.write_text(secrets.token_hex(32))
        self.secret.chmod(0o600)
        self.trust, self.cursors = None, {}

    def start(self, name, *flags, within=()):
        """`within`: a command that starts another one, and its arguments."""
        program = [BIN.with_name(name)] if name != "up" else [BIN, "up"]
        command = [*within, *program, *METRICS, *flags]
        self.programs.append(Program(name, command=list(map(str, command))))
        return self.programs[-1]

    def server(self, *flags, within=()):
        kept = ("--secret-file", self.secret)
        if "--data-dir" not in flags:
            kept = ("--data-dir", self.folder / "data", *kept)
        self.core = self.start("courant-server", "--grpc", "127.0.0.1:0", *kept, *flags, within=within)
        self.grpc = self.core.says("address=")
        self.url = f"http{'s' if '--tls-cert' in flags else ''}://{self.grpc}"
        return self.core

    def bridge(self, *flags):
        edge = self.start(
            "courant-bridge", "--secret-file", self.secret, "--server", self.url, "--listen", "127.0.0.1:0", *flags
        )
        self.address = f"http{'s' if '--tls-cert' in flags else ''}://{edge.says('listen=')}"
        self.user = self.token("alice")
        return edge

    def worker(self, name="worker", *flags, token=None):
        identity = ("--token-file", token) if token else ("--secret-file", self.secret)
        return self.start("courant-pdf-worker", *identity, "--server", self.url, "--worker-id", name, *flags)

    def courant(self, *arguments, check=True):
        """Runs a command to its end."""
        done = subprocess.run(
            [BIN, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, env=clean_environment()
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def token(self, user, *roles, ttl="1h"):
        # The command finds the secret in a folder.
        roles = [flag for role in roles for flag in ("--role", role)]
        made = self.courant("token", "--data-dir", self.secret.parent, "--sub", user, "--ttl", ttl, *roles)
        return made.stdout.strip()

    def ask(self, path, body=None, method=None, token=None):
        """Status, headers and bytes of an answer of the bridge."""
        headers = {"Authorization": f"Bearer {token or self.user}", "Content-Type": "application/pdf"}
        request = urllib.request.Request(self.address + path, body, headers, method=method)
        trust = ssl.create_default_context(cafile=self.trust) if self.trust else None
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=trust) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read()

    def submit(self, path=SAMPLE, **query):
        """The id of a job that was taken."""
        query = "&".join(f"{name}={value}" for name, value in query.items())
        status, _, answer = self.ask(f"/v1/jobs?{query}", path.read_bytes())
        assert status in (200, 201), answer
        taken = json.loads(answer)
        self.cursors[taken["job"]["jobId"]] = taken["cursor"]
        return taken["job"]["jobId"]

    def refused(self, path=SAMPLE):
        """Status and code of a submit that is not taken, and whether it says when to try again."""
        status, headers, answer = self.ask("/v1/jobs", path.read_bytes())
        return status, json.loads(answer).get("code"), "Retry-After" in headers

    def job(self, job):
        status, _, answer = self.ask(f"/v1/jobs/{job}")
        assert status == 200, answer
        return json.loads(answer)["job"]

    def succeeds(self, job, path=SAMPLE):
        """Waits for the job's end, and compares its document and its result with what they should be."""
        found = until(f"{job} to end", lambda: (now := self.job(job))["endTime"] and now)
        assert found["state"] == "succeeded", found
        assert self.ask(f"/v1/jobs/{job}/document")[2] == path.read_bytes()
        _, headers, text = self.ask(f"/v1/jobs/{job}/results/txt")
        assert text and headers["ETag"].strip('"') == hashlib.sha256(text).hexdigest()
        return found

    def pages(self, job):
        """The numbers of the job's pages, each as often as its history says that it was done."""
        how = ("--json", "--after", self.cursors[job], "--server", self.url, "--token", self.user)
        messages = [json.loads(line) for line in self.courant("watch", job, *how).stdout.splitlines()]
        return sorted(message["page"]["number"] for message in messages if message["type"] == "page-completed")

    def stop(self):
        for program in reversed(self.programs):
            program.stop()


def metric(program, name, **labels):
    """A sample of a program's metrics."""
    for line in program.get("/metrics")[2].splitlines():
        found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")).items():
            return float(found[3])
    raise AssertionError(f"{program.name} has no {name} with {labels}")


def lacks(program, condition):
    """Waits until the program says that this is missing, in all places where it says so."""

    def said():
        status, _, text = program.get("/readyz")
        return status == 503 and f"[-] {condition}" in text

    until(f"{program.name} to miss {condition}", said)
    until("its metrics to say so", lambda: metric(program, "courant_condition", condition=condition) == 0)
    assert metric(program, "courant_ready") == 0
    # A restart would not help.
    assert program.get("/livez")[0] == 200


def ready(program):
    until(f"{program.name} to be ready", lambda: program.get("/readyz")[0] == 200)


def logs(program, text):
    """Waits for a line of its log that has this."""
    try:
        return until(f"{program.name} to log {text!r}", lambda: next((line for line in program.lines if text in line), None))
    except AssertionError:
        print(*program.lines, sep="\n")
        raise
