"""The worker's own jail under what container runtimes and systemd put around it: the same system calls, user, read-only files."""

import configparser
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from programs import BINARIES, PATIENCE, ROOT, SAMPLE, SCAN, needs_root

PROFILE = ROOT / "deploy/kubernetes/components/seccomp/courant-worker.json"
UNIT = ROOT / "deploy/systemd/courant-pdf-worker.service"
RUNNER = pathlib.Path(__file__).with_name("under_seccomp.py")
# As in the manifests and in the image.
USER = 10_001
NAMESPACES = {
    "mnt": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}

# What a pod's container has: programs and secrets mounted, a /tmp of its own, everything else read-only.
CONTAINER = """
mount --bind "$PROGRAMS" /opt
mount --bind "$SECRETS" /mnt
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
"""
# What systemd makes of ProtectProc=invisible and ProcSubset=pid, in a namespace for processes as in a container.
OWN_PROC = "mount -t proc -o subset=pid,hidepid=invisible proc /proc\n"


def without_namespaces(allowed):
    """What RestrictNamespaces= does: only these may be made or entered."""
    refused = [bits for name, bits in NAMESPACES.items() if name not in allowed]
    flags = [{"index": 0, "value": bits, "valueTwo": bits, "op": "SCMP_CMP_MASKED_EQ"} for bits in refused]
    calls = [
        {"names": [call], "action": "SCMP_ACT_ERRNO", "args": [flag]} for call in ("clone", "unshare") for flag in flags
    ]
    return calls + [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]


def calls_of(group):
    """The calls of a group, as systemd knows it."""
    if not group.startswith("@"):
        return {group}
    shown = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", group], capture_output=True, text=True, check=True
    )
    names = [line.strip() for line in shown.stdout.splitlines()[1:]]
    return set().union(*(calls_of(name) for name in names if name and not name.startswith("#")), set())


class Unit(configparser.RawConfigParser):
    """A unit of systemd; what is set several times is kept as a list."""

    def __init__(self, file):
        class Many(dict):
            def __setitem__(self, key, value):
                if key in self and isinstance(value, list) and isinstance(self[key], list):
                    self[key].extend(value)
                else:
                    super().__setitem__(key, value)

        super().__init__(strict=False, dict_type=Many, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str
        with open(file) as lines:
            self.read_file(lines)

    def all(self, name):
        return self.get("Service", name, fallback="").splitlines()


def profiles_of(unit):
    """The filters that systemd loads for a unit, in the form of container runtimes."""
    allowed = set(calls_of("@default"))
    for line in unit.all("SystemCallFilter"):
        named = set().union(*(calls_of(name) for name in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    everything = {"defaultAction": "SCMP_ACT_ALLOW"}
    execute, write = 4, 2
    writable_code = [
        {
            "names": ["mmap"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 2, "value": execute | write, "valueTwo": execute | write, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        {
            "names": ["mprotect", "pkey_mprotect"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 2, "value": execute, "valueTwo": execute, "op": "SCMP_CMP_MASKED_EQ"}],
        },
    ]
    families = {FAMILIES[name] for name in unit.get("Service", "RestrictAddressFamilies").split()}
    sockets = [
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 97,
            "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}],
        }
        for family in range(46)
        if family not in families
    ]
    restricted = unit.get("Service", "RestrictNamespaces")
    return [
        everything | {"syscalls": without_namespaces([] if restricted == "yes" else restricted.split())},
        everything | {"syscalls": writable_code + sockets},
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "syscalls": [{"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"}],
        },
    ]


@pytest.fixture
def folder():
    """Not in pytest's own folder, which other users cannot enter."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="courant-jail-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def worker(start, without_workers, folder):
    """Starts a worker under profiles, as a container or a unit; with what root gave it."""

    def begin(profiles, mounts, *flags):
        programs, secrets = folder / "programs", folder / "secrets"
        programs.mkdir()
        secrets.mkdir()
        shutil.copy(BINARIES / "courant-pdf-worker", programs)
        # As Kubernetes mounts a secret with fsGroup: root's, and its group may read it.
        secret = secrets / "secret"
        shutil.copy(without_workers.data / "secret", secret)
        os.chown(secret, 0, USER)
        secret.chmod(0o440)
        files = []
        for number, profile in enumerate(profiles):
            files.append(folder / f"{number}.json")
            files[-1].write_text(json.dumps(profile))
        program = [
            "/opt/courant-pdf-worker",
            "--server",
            f"http://{without_workers.grpc}",
            "--secret-file",
            "/mnt/secret",
        ]
        # Read before the mounts hide them.
        opened = " ".join(f"{3 + number}<{file}" for number, file in enumerate(files))
        names = " ".join(f"/dev/fd/{3 + number}" for number in range(len(files)))
        script = f'exec {opened}\n{mounts}exec {sys.executable} {RUNNER} --user {USER} {names} -- "$@"'
        command = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-ec",
            script,
            "sh",
            *program,
            "--worker-id",
            "jailed",
            *flags,
        ]
        return start(*command, environment={"PROGRAMS": str(programs), "SECRETS": str(secrets)})

    return begin


def check(worker, without_workers, *documents):
    for child in ("pdf", "ocr"):
        layers = worker.wait_for(rf'child="{child}" layers="([^"]*)"')[1]
        assert " off" not in layers, f"{child}: {layers}"
        for layer in ("namespaces net ipc uts", "no capabilities", "limits", "landlock abi", "seccomp"):
            assert layer in layers, f"{child}: {layers}"
    done = subprocess.run(
        [BINARIES / "courant", "submit", "--watch", "--data-dir", without_workers.data, *documents],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, f"{done.stdout}\n{worker.log()}"


@needs_root()
def test_the_jail_is_whole_in_a_container_under_the_profile(worker, without_workers):
    jailed = worker([json.loads(PROFILE.read_text())], CONTAINER)
    check(jailed, without_workers, SAMPLE, SCAN)


@needs_root()
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="what systemd would do is asked of systemd-analyze")
def test_the_jail_is_whole_under_the_filters_of_the_unit(worker, without_workers):
    unit = Unit(UNIT)
    assert unit.get("Service", "ProtectProc") == "invisible" and unit.get("Service", "ProcSubset") == "pid"
    jailed = worker(profiles_of(unit), CONTAINER + OWN_PROC)
    check(jailed, without_workers, SAMPLE)


PROBE = """
import ctypes, errno
kernel = ctypes.CDLL(None, use_errno=True)
def ask(number, *arguments):
    ctypes.set_errno(0)
    answer = kernel.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
    return "ok" if answer >= 0 else errno.errorcode[ctypes.get_errno()]
print(*(ask(number, *arguments) for number, *arguments in {calls}))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="has the numbers of calls on x86_64")
def test_what_the_jail_does_not_need_is_refused_by_the_profile():
    mount, users, processes, network = NAMESPACES["mnt"], NAMESPACES["user"], NAMESPACES["pid"], NAMESPACES["net"]
    asked = {
        "unshare of mounts": ((272, mount), "EPERM"),
        "unshare of processes": ((272, users | processes), "EPERM"),
        "unshare of the network": ((272, users | network), "ok"),
        "clone3, whose flags nobody can look at": ((435, 0, 0), "ENOSYS"),
        "setns": ((308, 0, 0), "EPERM"),
        "mount": ((165, 0, 0, 0, 0, 0), "EPERM"),
        "ptrace": ((101, 0, 0, 0, 0), "EPERM"),
        "bpf": ((321, 0, 0, 0), "EPERM"),
        "keyctl": ((250, 0, 0, 0, 0, 0), "EPERM"),
        "io_uring_setup": ((425, 0, 0), "EPERM"),
        "a raw socket": ((41, 17, 3, 0), "EPERM"),
        "an internet socket": ((41, 2, 1, 0), "ok"),
    }
    probe = PROBE.format(calls=[list(call) for call, _ in asked.values()])
    command = [sys.executable, RUNNER, PROFILE, "--", sys.executable, "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert dict(zip(asked, done.stdout.split())) == {name: answer for name, (_, answer) in asked.items()}
