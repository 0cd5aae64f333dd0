"""Courant's programs apart, each with its address for metrics, and a Prometheus that scrapes them."""

import json
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from conftest import BIN, PATIENCE, ROOT, clean_environment
from papers import Papers

DEPLOY = ROOT / "deploy"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def until(what, condition):
    """Waits for something to be true and gives it back."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE} s for {what}")


def fetch(url, body=None, **headers):
    """Status, headers and text of an answer."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode()


class Program:
    """A program by itself, whose log says where it is."""

    def __init__(self, name, *flags, command=None):
        """With these flags, or by a command of its own."""
        self.name = name
        self.lines = []
        self.process = subprocess.Popen(
            command or [BIN.with_name(name), "--metrics-addr", "127.0.0.1:0", *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=clean_environment() | {"COURANT_LAME_DUCK": "0s"},
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.metrics = self.says_field("metrics") if "json" in flags else self.says("metrics=")

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(COLOURS.sub("", line.rstrip()))

    def says(self, key):
        """What follows this in its log, as soon as it is there."""

        def found():
            assert self.process.poll() is None, self.lines
            return next((line.split(key)[1].split()[0] for line in list(self.lines) if key in line), None)

        return until(f"{self.name} to log {key}", found)

    def says_field(self, name):
        """The value of this field in its log, whose lines are JSON, as soon as it is there."""

        def found():
            assert self.process.poll() is None, self.lines
            fields = (json.loads(line)["fields"] for line in list(self.lines))
            return next((fields[name] for fields in fields if name in fields), None)

        return until(f"{self.name} to log {name}", found)

    def get(self, path, **headers):
        return fetch(f"http://{self.metrics}{path}", **headers)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Apart:
    """Server, bridge and worker as three programs, with TLS between them."""

    def __init__(self, folder):
        self.data = folder / "apart"
        # With quotas and limits that a test runs into.
        quotas = ("--quota-waiting", "40")
        papers = Papers(folder / "papers")
        cert, key = papers.sign("server")
        shown = ("--tls-cert", cert, "--tls-key", key)
        self.server = Program("courant-server", "--data-dir", self.data, "--grpc", "127.0.0.1:0", *quotas, *shown)
        self.grpc = self.server.says("address=")
        secret, server = ("--secret-file", self.data / "secret"), ("--server", f"https://{self.grpc}")
        client_cert, client_key = papers.sign("client")
        limits = ("--max-connections-per-user", "2")
        client = ("--server-ca", papers.ca, "--server-cert", client_cert, "--server-key", client_key)
        self.bridge = Program("courant-bridge", *secret, *server, *client, "--listen", "127.0.0.1:0", *limits)
        self.http = self.bridge.says("listen=")
        client = ("--ca", papers.ca, "--cert", client_cert, "--key", client_key)
        self.worker = Program("courant-pdf-worker", *secret, *server, *client, "--worker-id", "apart")
        self.programs = [self.server, self.bridge, self.worker]

    def token(self, user, *roles):
        made = [BIN, "token", "--data-dir", self.data, "--sub", user, *(flag for role in roles for flag in ("--role", role))]
        return subprocess.run(made, capture_output=True, text=True, check=True, env=clean_environment()).stdout.strip()

    def stop(self):
        for program in self.programs:
            program.stop()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Prometheus:
    """Scrapes these targets, {job: address}, each second, with the rules of `deploy/`."""

    def __init__(self, folder, targets):
        self.folder = folder
        jobs = "".join(
            f"  - job_name: {job}\n    static_configs: [{{targets: ['{address}']}}]\n" for job, address in targets.items()
        )
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{DEPLOY}/prometheus/courant.rules.yml']\nscrape_configs:\n{jobs}"
        )
        self.address = f"127.0.0.1:{free_port()}"
        self.log = open(folder / "log", "wb")
        files = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self.process = subprocess.Popen(
            ["prometheus", *files, f"--web.listen-address={self.address}"], stdout=self.log, stderr=self.log
        )
        until("Prometheus to be ready", self._ready)

    def _ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return fetch(f"http://{self.address}/-/ready")[0] == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        status, _, text = fetch(f"http://{self.address}/api/v1/{path}?{query}")
        answer = json.loads(text)
        assert status == 200 and answer["status"] == "success", (path, parameters, answer)
        return answer["data"]

    def query(self, expression):
        """The samples of now: [(labels, value)]."""
        found = self.ask("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in found]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def families(text):
    """What an answer of /metrics has: {name: (type, {label, …}, help)}. Counters by their whole name."""
    found, helps = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, help_text = line.split(" ", 3)
            helps[name] = help_text
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            assert name not in found, f"{name} is there twice"
            found[name] = (kind, set(), helps.get(name, ""))
        elif line:
            sample = re.match(r"[a-z_:]+", line)[0]
            name = sample if sample in found else re.sub(r"_(bucket|sum|count)$", "", sample)
            assert name in found, f"{line} has no type"
            labels = line[line.index("{") + 1 : line.rindex("}")] if "{" in line else ""
            found[name][1].update(set(re.findall(r'([a-z_]+)="', labels)) - {"le"})
    return found
