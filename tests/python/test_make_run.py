"""The first of the README's two commands: shows a document being processed, and stays up until Ctrl-C."""

import os
import pathlib
import signal
import subprocess
import urllib.request

from conftest import PATIENCE, ROOT, clean_environment


def test_make_run_shows_a_result_and_a_link_and_stays_up(tmp_path):
    free_ports = {"COURANT_GRPC": "127.0.0.1:0", "COURANT_HTTP": "127.0.0.1:0", "COURANT_PRINT_LINK": "true"}
    process = subprocess.Popen(
        # With the features of `make build`, so that nothing is compiled again, and the tests after this one have the same program.
        ["make", "--no-print-directory", "run", f"DATA={tmp_path / 'data'}", "RUN_FEATURES=$(TEST_FEATURES)"],
        cwd=ROOT,
        env={**clean_environment(), **free_ports},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("Open the console link"):
                break
        told = "\n".join(said)
        assert process.poll() is None, told
        assert any("pages" in line and "%" in line for line in said), f"no progress was shown:\n{told}"
        kept = next(line.removeprefix("The result is in ") for line in said if line.startswith("The result is in "))
        assert "Hello, here is some text" in pathlib.Path(kept).read_text()
        link = next(line.split()[1] for line in said if line.startswith("console"))
        with urllib.request.urlopen(link.split("#")[0], timeout=PATIENCE) as page:
            assert b"<html" in page.read()
        assert "#token=" in link
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.close()
        process.wait(PATIENCE)
