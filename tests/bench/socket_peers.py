"""What bridges cost, Courant's and those that fan out and are no job system: the same load client drives each in turns.

The client is `bench --peer NAME` (tests/src/bench/sockets): it starts the server on its core and measures one round.
"""

import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

ROWS = ("fanout", "topics", "latency", "idle", "connect")
COURANT = "Courant"
# By the name that `bench --peer` knows; without one it measures Courant.
PEERS = {COURANT: None, "Nchan": "nchan", "NATS": "nats", "ws": "ws", "Socket.IO": "socketio"}
# Figures of which Courant's are divided by those of each peer.
RATIOS = ("deliveries per server CPU s", "deliveries/s with p99 < 50 ms", "p99 ms", "server CPU, cores",
          "RSS bytes/connection", "server CPU µs/connect")
# Courant has several rows where a peer has one: by kind of topic, and by program.
VARIANT = re.compile(r" \((?:job|document)/ID\)| of courant(?:-bridge| up)")
TIMEOUT_SECONDS = 1800


def run(bench, cores, peer, row, options):
    """One round of a row; figures by the names of its rows."""
    server_core, client_core = cores
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = ["taskset", "-c", client_core, bench, row, "--rounds", "1", *options]
        command += ["--peer", PEERS[peer]] if PEERS[peer] else []
        # It fails when a row does; what was measured is in the file all the same.
        ended = subprocess.run([*command, "--server-core", server_core, "--json", out.name], check=False,
                               timeout=TIMEOUT_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        text = Path(out.name).read_text()
    if not text:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")
    measured = {}
    for found in json.loads(text)["rows"]:
        for reason in found.get("failed", []):
            print(f"{peer}: {found['what']}: a round failed: {reason}", flush=True)
        measured[found["what"]] = {name: figure["median"] for name, figure in found["figures"].items()}
    return measured


def spread(values):
    if not values:
        return None
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "rounds": values}


def over_rounds(rounds, name):
    return spread([one[name] for one in rounds if one.get(name) is not None])


def ratios(own, its, name):
    """Round by round, of those rounds in which both have the figure."""
    both = [(ours[name], one[name]) for ours, one in zip(own, its) if ours.get(name) is not None and one.get(name)]
    return spread([ours / theirs for ours, theirs in both])


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def cell(figure):
    if figure is None:
        return "–"
    return f"{number(figure['median'])} ({number(figure['low'])} to {number(figure['high'])})"


def summarise(what, by_peer):
    """One table: the row's figures of each, then Courant's divided by those of the peer."""
    names = list(dict.fromkeys(name for rounds in by_peer.values() for one in rounds for name in one))
    compared = [name for name in RATIOS if name in names] if COURANT in by_peer else []
    summary = {}
    for peer, rounds in by_peer.items():
        figures = {name: over_rounds(rounds, name) for name in names}
        beside = {} if peer == COURANT else {name: ratios(by_peer[COURANT], rounds, name) for name in compared}
        summary[peer] = {"figures": figures, "Courant's by its": beside}
    lines = [f"**{what}**", "", f"| server | {' | '.join([*names, *(f'Courant / it: {name}' for name in compared)])} |",
             "|---|" + "--:|" * (len(names) + len(compared))]
    for peer, of in summary.items():
        cells = [cell(of["figures"].get(name)) for name in names]
        cells += [cell(of["Courant's by its"].get(name)) for name in compared]
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return summary, "\n".join(lines)


def compare(results):
    """All rows, Courant's as they are and each peer's beside those that it compares with."""
    rows = list(dict.fromkeys(what for rounds in results.get(COURANT, []) for what in rounds))
    rows = rows or list(dict.fromkeys(what for rounds in results.values() for one in rounds for what in one))
    summaries, tables = {}, []
    for what in rows:
        by_peer = {}
        for peer, rounds in results.items():
            name = what if peer == COURANT else VARIANT.sub("", what)
            by_peer[peer] = [one.get(name, {}) for one in rounds]
        summaries[what], table = summarise(what, by_peer)
        tables.append(table)
    return summaries, "\n\n".join(tables)


def measure(bench, cores, rows, rounds, words, options):
    """All rows in turns; gives back what goes into the report, and the tables as text."""
    chosen = [peer for peer in PEERS if not words or any(word.lower() in peer.lower() for word in words)]
    results = {peer: [{} for _ in range(rounds)] for peer in chosen}
    for number_of_round in range(rounds):
        for row in rows:
            for peer in chosen:
                measured = run(bench, cores, peer, row, options)
                results[peer][number_of_round] |= measured
                for what, figures in measured.items():
                    print(peer, what, {key: round(value, 2) for key, value in figures.items() if value is not None},
                          flush=True)
    return compare(results)
