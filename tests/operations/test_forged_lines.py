"""What clients choose makes no line of a log of its own."""

import urllib.parse

from conftest import SAMPLE
from programs import until
from system import logs

FORGED = "x\n2026-12-01T00:00:00Z ERROR courant_server: forged \x1b]0;forged\x07"


def test_names_users_and_addresses_stay_within_their_line(system):
    server, bridge = system.server(), system.bridge()
    name = urllib.parse.quote(FORGED)
    token = system.token(FORGED)
    status, _, answer = system.ask(f"/v1/jobs?name={name}&batchId={name}&kind=nobody", SAMPLE.read_bytes(), token=token)
    assert status in (201, 400), answer
    assert system.ask(f"/v1/jobs/{name}", token=token)[0] in (400, 404)
    assert system.ask("/v1/jobs?kind=nobody", SAMPLE.read_bytes(), token=token)[0] == 201
    logs(server, "job submitted")
    until("the bridge to log somebody", lambda: any("forged" in line for line in server.lines + bridge.lines))
    for line in server.lines + bridge.lines:
        assert not line.startswith("2026-12-01T00:00:00Z"), line
        assert "\x1b" not in line, line
