"""The configuration file: the flags by their long names, in TOML; and help by subject."""

import json
import re
import subprocess
import tomllib

import pytest

from programs import BINARIES, PATIENCE, PROGRAMS, ROOT, clean_environment
from test_check_config import BRIDGE, SERVER, UP, WORKER, check

EXAMPLES = {SERVER: "server", BRIDGE: "bridge", WORKER: "pdf-worker", UP: "up"}
# What a program cannot do without, as keys.
NEEDED = {SERVER: "", BRIDGE: 'secret-file = "FOLDER/secret"\n', WORKER: 'token = "x"\n', UP: ""}
SECTION = re.compile(r"^([A-Z][^\n]*):\n((?:  .*\n|\n)+)", re.MULTILINE)
KEY = re.compile(r"^#([a-z0-9-]+) = (.*)$", re.MULTILINE)

# Program, what the file says, and what is said of it. Each is found at its line, and by the flag's name.
WRONG = [
    (SERVER, 'lease = "soon"', ["FILE:1: ", "'soon' for '--lease"]),
    (SERVER, "lease = 30", ["FILE:1: ", "'30' for '--lease", "time unit needed"]),
    (SERVER, '\n\nleese = "30s"', ["FILE:3: there is no flag --leese"]),
    (SERVER, 'owner_share = 0.5', ["FILE:1: ", "write owner-share"]),
    (SERVER, "max-attempts = -1", ["FILE:1: ", "'-1' for '--max-attempts"]),
    (SERVER, 'max-attempts = "many"', ["FILE:1: ", "'many' for '--max-attempts"]),
    (SERVER, "max-attempts = 0", ["--max-attempts must be 1 to 100"]),
    (SERVER, "max-attempts = [3]", ["FILE:1: --max-attempts takes one value and not a list"]),
    (SERVER, "max-attempts = 1\nmax-attempts = 2", ["FILE:2: is not TOML", "duplicate key"]),
    (SERVER, "grpc = 50051", ["FILE:1: ", "'50051' for '--grpc"]),
    (SERVER, 'accept-log-loss = "yes"', ["FILE:1: --accept-log-loss must be true or false"]),
    (SERVER, "check-config = true", ["FILE:1: --check-config cannot be set in the file"]),
    (SERVER, 'config = "another.toml"', ["FILE:1: --config cannot be set in the file"]),
    (SERVER, "[server]\nmax-attempts = 3", ["FILE:1: ", "stand in no table"]),
    (SERVER, "lease = 1979-05-27", ["FILE:1: --lease takes no date"]),
    (SERVER, "lease = 30s", ["FILE:1: is not TOML"]),
    (SERVER, 'log-format = "xml"', ["FILE:1: ", "'xml' for '--log-format", "possible values: text, json"]),
    (SERVER, 'tls-cert = "FOLDER/text"', ["--tls-key"]),
    (SERVER, 'secret-file = "FOLDER/open"', ["--secret-file: the secret file"]),
    (SERVER, 'log = ["nats://127.0.0.1:1", "http://here"]', ["FILE:1: ", "'http://here' for '--log", "nats://"]),
    (BRIDGE, 'secret = "0123456789abcdef0123456789abcdef"', ["FILE:1: there is no flag --secret"]),
    (BRIDGE, 'secret-file = "FOLDER/secret"\nallow-origin = ["https://a.example", "b"]', ["--allow-origin", '"b"']),
    (BRIDGE, 'secret-file = "FOLDER/secret"\nlisten = ":8080"\nhttp = "127.0.0.1:1"', ["FILE:2: ", "--listen"]),
    (BRIDGE, 'http = "127.0.0.1:1"\nlisten = "127.0.0.1:1"', ["two of its names"]),
    (BRIDGE, "ping-interval = 25", ["FILE:1: ", "'25' for '--ping-interval"]),
    (WORKER, 'token = "x"\ntoken-file = "FOLDER/text"', ["--token", "cannot be used with"]),
    (WORKER, 'slots = 2', ["--token"]),
    (WORKER, 'token = "x"\nslots = 0', ["FILE:2: ", "'0' for '--slots"]),
    (WORKER, 'token = "x"\npdf-max-pages = 1e9', ["FILE:2: ", "--pdf-max-pages"]),
    (UP, "workers = 1000", ["FILE:1: ", "'1000' for '--workers"]),
    (UP, 'log = "a=b=c"', ["--log-filter"]),
]


def with_file(program, text, folder, flags="", environment=None):
    file = folder / "p.toml"
    file.write_text(text.replace("FOLDER", str(folder)))
    return check(program, f"--config {file} {flags}", folder, environment)


@pytest.mark.parametrize(("program", "text", "said"), WRONG, ids=[f"{program} {text}" for program, text, _ in WRONG])
def test_what_is_wrong_is_said_with_file_line_and_flag(program, text, said, folder):
    done = with_file(program, text, folder)
    assert done.returncode == 2, f"{done.returncode}: {done.stdout}{done.stderr}"
    for words in said:
        assert words.replace("FILE", str(folder / "p.toml")) in done.stderr, done.stderr


def test_all_that_is_wrong_in_the_file_is_said_at_once(folder):
    done = with_file(SERVER, 'lease = "soon"\nleese = "30s"\nmax-attempts = "many"\n', folder)
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(
        line.startswith(f"courant-server: {folder}/p.toml:{number}: ") for number, line in enumerate(lines, 1)
    ), done.stderr


def test_the_document_shows_what_is_said(folder):
    page = (ROOT / "docs/configuration.md").read_text()
    (written,) = re.findall(r"printf '(.*)' >wrong.toml", page)
    (folder / "wrong.toml").write_text(written.replace("\\n", "\n"))
    (said,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert check(SERVER, "--config wrong.toml", folder).stderr == said


def test_a_file_that_is_not_there_or_no_text_is_named(folder):
    done = check(SERVER, "--config /no/such/file", folder)
    assert done.returncode == 2 and "--config /no/such/file: cannot be read: No such file" in done.stderr, done.stderr
    (folder / "bytes").write_bytes(b"\xff\xfe")
    done = check(SERVER, "", folder, {"COURANT_CONFIG": str(folder / "bytes")})
    assert done.returncode == 2 and "--config" in done.stderr and "UTF-8" in done.stderr, done.stderr


def test_flags_win_over_variables_these_over_the_file_and_that_over_defaults(folder):
    """0 attempts are refused, so the exit code says which value counts."""
    bad, good = "max-attempts = 0\n", "max-attempts = 5\n"
    variable = {"COURANT_MAX_ATTEMPTS": "0"}
    assert with_file(SERVER, bad, folder).returncode == 2
    assert with_file(SERVER, bad, folder, environment={"COURANT_MAX_ATTEMPTS": "5"}).returncode == 0
    assert with_file(SERVER, good, folder, environment=variable).returncode == 2
    assert with_file(SERVER, bad, folder, "--max-attempts 5", variable).returncode == 0
    assert with_file(SERVER, good, folder, "--max-attempts=0").returncode == 2
    # A list that is typed replaces the file's.
    origins = 'secret-file = "FOLDER/secret"\nallow-origin = ["*"]\n'
    assert with_file(BRIDGE, origins, folder).returncode == 2
    assert with_file(BRIDGE, origins, folder, "--allow-origin https://a.example").returncode == 0


@pytest.mark.parametrize("program", list(EXAMPLES))
def test_a_good_file_is_taken_also_by_its_variable(program, folder):
    text = NEEDED[program] + 'metrics-addr = "127.0.0.1:0"\nlog-format = "json"\n'
    done = with_file(program, text, folder)
    assert done.returncode == 0 and "the configuration can be used" in done.stdout, done.stderr
    done = check(program, "", folder, {"COURANT_CONFIG": str(folder / "p.toml")})
    assert done.returncode == 0, done.stderr


def test_a_server_runs_by_its_file(start, secret, tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(
        f'grpc = "127.0.0.1:0"\ndata-dir = "{tmp_path}/data"\nsecret-file = "{secret}"\nlog-format = "json"\n'
        'lame-duck = "0s"\n'
    )
    server = start(BINARIES / "courant-server", environment={"COURANT_CONFIG": str(file)})
    line = server.wait_for(r".*127\.0\.0\.1:\d+.*")[0]
    assert json.loads(line)["level"] == "INFO", line
    assert (tmp_path / "data/log.db").exists()


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    made = tmp_path_factory.mktemp("generated")
    for program in PROGRAMS:
        subprocess.run([BINARIES / program, "--generate", made], check=True)
    return made / "config"


@pytest.mark.parametrize(("program", "name"), EXAMPLES.items())
def test_the_examples_are_those_of_the_programs(program, name, generated):
    """`PROGRAM --generate FOLDER` makes them again."""
    assert (generated / f"{name}.toml").read_text() == (ROOT / f"deploy/config/{name}.toml").read_text()
    assert tomllib.loads((generated / f"{name}.toml").read_text()) == {}, "all is commented out"


@pytest.mark.parametrize(("program", "name"), EXAMPLES.items())
def test_every_default_of_an_example_can_be_written_down(program, name, generated, folder):
    text = (generated / f"{name}.toml").read_text()
    with_default = [(key, value) for key, value in KEY.findall(text) if "<" not in value]
    assert len(with_default) > 20
    written = "".join(f"{key} = {value}\n" for key, value in with_default)
    done = with_file(program, NEEDED[program] + written, folder)
    assert done.returncode == 0, done.stderr


def shown(program, flag):
    name, *rest = program.split()
    command = [BINARIES / name, *rest, flag]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=PATIENCE, env=clean_environment()
    ).stdout


def flags(text):
    return re.findall(r"^\s+(?:-\w, )?--([a-z0-9-]+)", text, re.MULTILINE)


@pytest.mark.parametrize(("program", "name"), EXAMPLES.items())
def test_every_flag_is_a_key_and_every_key_a_flag(program, name, generated):
    keys = [key for key, _ in KEY.findall((generated / f"{name}.toml").read_text())]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(flags(shown(program, "--help"))) - {"config", "check-config", "help", "version"}


def test_the_document_has_every_key_with_its_programs_and_default(generated):
    letters = {"server": "S", "bridge": "B", "pdf-worker": "W", "up": "U"}
    there = {}
    for name, letter in letters.items():
        for key, value in KEY.findall((generated / f"{name}.toml").read_text()):
            there.setdefault(key, []).append(letter)
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([SBWU ]+) \|", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE)
    assert {key: programs.split() for key, programs in rows} == there


@pytest.mark.parametrize("program", list(EXAMPLES))
def test_help_is_by_subject_and_the_short_one_is_short(program):
    long, short = shown(program, "--help"), shown(program, "-h")
    sections = dict(SECTION.findall(long))
    assert len(sections) > 7, sections.keys()
    assert set(flags(sections["Options"])) == {"help", "version"}
    assert set(flags(short)) < set(flags(long)) and len(flags(short)) <= 30, flags(short)
    assert "config" in flags(short) and "--help shows all" in short


CONNECTING = ["submit", "watch", "jobs", "queue", "cancel", "retry", "result", "workers", "admin lanes", "admin verify"]


@pytest.mark.parametrize("command", CONNECTING)
def test_commands_show_apart_how_they_connect(command):
    """What comes after a group of flags in the source would be in its section."""
    text = shown(f"courant {command}", "--help")
    sections = {name: set(flags(rows)) for name, rows in SECTION.findall(text)}
    assert sections["Connection"] == {"server", "token", "data-dir", "user"}
    assert sections["TLS"] == {"ca", "cert", "key"}
    assert sections.get("Following", {"give-up-after", "min-interval"}) == {"give-up-after", "min-interval"}
    assert "help" in sections["Options"]


@pytest.mark.parametrize("command", ["migrate", "backup", "begin-epoch"])
def test_commands_show_apart_where_the_log_is(command):
    sections = {name: set(flags(rows)) for name, rows in SECTION.findall(shown(f"courant {command}", "--help"))}
    others = {flag for flag in sections["Log on NATS"] if not flag.startswith(("log-", "allow-lossy"))}
    assert not others and "log" in sections["Options"]
