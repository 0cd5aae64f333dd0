"""What the documents for operators name exists: metrics, flags, lines of logs, errors, files, tests, links. Their commands run."""

import re
import subprocess

import pytest

from conftest import BIN, ROOT, clean_environment

PAGES = ["runbook", "security", "upgrading", "capacity", "tls-and-identity", "configuration"]
PROGRAMS = ["courant-server", "courant-bridge", "courant-pdf-worker"]
COMMANDS = ["up", "submit", "watch", "jobs", "queue", "token", "workers", "drain", "migrate", "backup", "begin-epoch", "delete"]
# Of other programs.
FOREIGN = {"--deploy-hook"}


@pytest.fixture(scope="module", params=PAGES)
def page(request):
    return request.param, (ROOT / f"docs/{request.param}.md").read_text()


@pytest.fixture(scope="module")
def flags():
    """Those of all programs and commands."""
    commands = [[BIN.with_name(name)] for name in PROGRAMS] + [[BIN, name] for name in COMMANDS]
    helps = [
        subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, env=clean_environment()).stdout
        for command in commands
    ]
    return set(re.findall(r"--[a-z][a-z0-9-]+", "".join(helps)))


@pytest.fixture(scope="module")
def sources():
    """The text of all programs, white space as one space."""
    files = [*ROOT.glob("crates/*/src/**/*.rs"), *ROOT.glob("bridge/src/**/*.rs")]
    return " ".join(" ".join(file.read_text() for file in files).split())


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(page):
    name, text = page
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = ROOT / "docs" / path if path else ROOT / f"docs/{name}.md"
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_metrics_are_in_their_list(page):
    _, text = page
    known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert len(known) > 60
    for name in set(re.findall(r"`((?:courant|process)_[a-z_]+)(?:\{[^`]*)?`", text)):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in known, name


def test_flags_exist(page, flags):
    _, text = page
    for words in re.findall(r"`([^`\n]+)`", text):
        if words.startswith(("--", "courant")):
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", words):
                assert flag in flags | FOREIGN, f"{flag} in {words}"


def test_lines_of_logs_are_what_programs_write(page, sources):
    _, text = page
    for line in re.findall(r"Log: `([^`]+)`", text):
        assert line in sources, line


def test_errors_exist(page):
    _, text = page
    known = (ROOT / "proto/courant/v1/error_reason.proto").read_text() + (ROOT / "bridge/PROTOCOL.md").read_text()
    known += " ".join(file.read_text() for file in ROOT.glob("crates/pdf/src/**/*.rs")) + " ".join(
        file.read_text() for file in ROOT.glob("crates/worker/src/**/*.rs")
    )
    for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text):
        assert name in known or name.startswith(("COURANT_", "AWS_", "DATA_", "SSL_")), name


def test_files_and_tests_that_are_named_exist(page):
    _, text = page
    for path in re.findall(r"`((?:tests|crates|bridge|deploy|docs|proto)/[^`\s]+)`", text):
        file, _, name = path.partition("#")
        assert (ROOT / file).exists(), path
        if name:
            assert re.search(rf"\b(fn|def) {name}\b", (ROOT / file).read_text()), path
