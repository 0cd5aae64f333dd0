"""Every command of the README that is marked for it is run, in order, against a running `courant up`."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from conftest import BIN, LONG, PATIENCE, ROOT, SAMPLE, Up, clean_environment

BLOCK = re.compile(r"^```sh test(?: needs=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(up):
    """One script, since later blocks use what earlier ones have set."""
    lines = ["set -euo pipefail", "shopt -s nullglob"]
    for needs, block in BLOCK.findall((ROOT / "README.md").read_text()):
        if needs and not shutil.which(needs):
            print(f"not run, because there is no {needs} here:\n{block}")
            continue
        lines += ["set -x", block.rstrip(), "{ set +x; } 2>/dev/null", "echo block-done"]
    script = "\n".join(lines)
    return script.replace("127.0.0.1:50051", up.grpc).replace("127.0.0.1:8080", up.http), script.count("block-done")


def test_every_marked_command_works(tmp_path):
    up = Up(tmp_path)
    try:
        here = tmp_path / "here"
        here.mkdir()
        shutil.copy(SAMPLE, here / "report.pdf")
        shutil.copy(LONG, here / "other.pdf")
        (here / "notes.txt").write_text("two words")
        for folder in ("bridge", "proto", "tests"):
            (here / folder).symlink_to(ROOT / folder)
        script, blocks = commands(up)
        assert blocks >= 7
        programs = [BIN.parent, ROOT / "tests/node_modules/.bin", pathlib.Path(sys.executable).parent]
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=here,
            env={**clean_environment(), "PATH": path, "COURANT_DATA_DIR": str(up.data), "COURANT_USER": "alice"},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert done.stdout.count("block-done") == blocks
        assert "Two-Column Document" in (here / "report.md").read_text()
        assert "courant.v1.JobService" in done.stdout
    finally:
        up.stop()
