"""The commands of documents that are marked for it are run, in order."""

import os
import pathlib
import re
import subprocess

import pytest

from programs import BINARIES, PATIENCE, ROOT, clean_environment
from test_kubernetes import KUBECTL

BLOCK = re.compile(r"^```sh test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("page", "least"), [("deploy", 5), ("configuration", 2)])
def test_every_marked_command_works(page, least, tmp_path):
    blocks = BLOCK.findall((ROOT / f"docs/{page}.md").read_text())
    assert len(blocks) >= least
    (tmp_path / "secret").write_text("s" * 64)
    (tmp_path / "secret").chmod(0o600)
    # kubectl does not follow links out of the folder.
    subprocess.run(["cp", "-r", ROOT / "deploy", tmp_path], check=True)
    path = os.pathsep.join([str(BINARIES), str(pathlib.Path(KUBECTL).parent), os.environ["PATH"]])
    script = "set -xeuo pipefail\n" + "".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=clean_environment() | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
