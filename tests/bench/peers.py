#!/usr/bin/env python3
"""Measures Courant, other job queues and other WebSocket servers in turns, in one run: stores and servers on one core, clients
and workers on another.

A figure means something only beside the figures of the same run: machines differ, and so do hours on one machine. So the
rounds of all are interleaved, and the ratios are those of the same round.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import socket_peers

HERE = Path(__file__).parent
SERVER_CORE, CLIENT_CORE = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")
JOB_ROWS = ("jobs", "single")
ROWS = JOB_ROWS + socket_peers.ROWS
# How many times as good Courant is: more is better of the first two, less of the last.
RATIOS = {"jobs/s": "jobs", "jobs per CPU s of all": "jobs", "single p50 ms": "single"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError(f"the store ended with {process.returncode} before it listened")
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


def cpu_seconds(root):
    """Of a process and its descendants, also of those that have ended."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
            except OSError:
                continue
            stats[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    tree, grew = {root}, True
    while grew:
        found = {pid for pid, (parent, _) in stats.items() if parent in tree} - tree
        tree |= found
        grew = bool(found)
    return sum(stats[pid][1] for pid in tree if pid in stats) / TICKS


def machine_busy_seconds():
    columns = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(columns) - columns[3] - columns[4]) / TICKS


def client(store, jobs, rows, *command):
    """Runs a client to its end. Processor time is that of the store and the client while it measures, without their start."""
    node = subprocess.Popen(["taskset", "-c", CLIENT_CORE, *command], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env={**os.environ, "BENCH_ROWS": ",".join(rows)})
    marks, measured = [], {}
    for line in node.stdout:
        if line.strip() in ("begin", "end"):
            marks.append((cpu_seconds(store.pid) + cpu_seconds(node.pid), machine_busy_seconds(), time.monotonic()))
            print(file=node.stdin, flush=True)
        else:
            measured = json.loads(line)
    if node.wait(600):
        raise RuntimeError(f"{' '.join(command)} ended with {node.returncode}")
    spans = [[after - before for before, after in zip(*marks[at:at + 2])] for at in range(0, len(marks), 2)]
    of, figures = dict(zip(rows, spans)), {}
    if "jobs" in rows:
        figures |= {"jobs/s": measured["jobs_per_s"], "jobs per CPU s of all": jobs / of["jobs"][0]}
    if "single" in rows:
        figures |= {"single p50 ms": measured["single_p50_ms"], "single p99 ms": measured["single_p99_ms"]}
    cpu, busy, elapsed = (sum(values) for values in zip(*spans))
    return figures | {"foreign CPU, cores": (busy - cpu) / elapsed}


def stop(process, how):
    process.send_signal(how)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def bullmq(jobs, rows, appendfsync):
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""]
        redis = subprocess.Popen(["taskset", "-c", SERVER_CORE, "redis-server", *options, "--appendfsync", appendfsync,
                                  "--loglevel", "warning"], stdout=subprocess.DEVNULL)
        try:
            await_port(port, redis)
            return client(redis, jobs, rows, "node", str(HERE / "peers/bullmq.mjs"), str(port), str(jobs))
        finally:
            stop(redis, signal.SIGTERM)


def on_postgres(script, jobs, rows):
    program = Path(os.path.realpath(shutil.which("postgres") or max(Path("/usr/lib/postgresql").glob("*/bin/postgres"))))
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as folder:
        other = {}
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
            other = {"user": "postgres", "group": "postgres", "extra_groups": []}
        port = free_port()
        made = [str(program.with_name("initdb")), "-D", folder, "-A", "trust", "-U", "postgres"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **other)
        postgres = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, str(program), "-D", folder, "-p", str(port), "-k", folder,
             "-c", "listen_addresses=127.0.0.1"], stderr=subprocess.DEVNULL, cwd=folder, **other)
        try:
            await_port(port, postgres)
            url = f"postgres://postgres@127.0.0.1:{port}/postgres"
            return client(postgres, jobs, rows, "node", str(HERE / "peers" / script), url, str(jobs))
        finally:
            stop(postgres, signal.SIGINT)


def courant(jobs, rows, bench, way):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = ["taskset", "-c", CLIENT_CORE, bench, *rows, "--rounds", "1", "--jobs", str(jobs), "--way", way]
        subprocess.run([*command, "--server-core", SERVER_CORE, "--json", out.name], check=True, timeout=900,
                       stdout=subprocess.DEVNULL)
        measured = [row["figures"] for row in json.loads(Path(out.name).read_text())["rows"]]
    of, figures = dict(zip(rows, measured)), {}
    if "jobs" in rows:
        figures |= {name: of["jobs"][name]["median"] for name in ("jobs/s", "jobs per CPU s of all")}
    if "single" in rows:
        figures |= {f"single {name}": of["single"][name]["median"] for name in ("p50 ms", "p99 ms")}
    return figures


def machine():
    cpus = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], cwd=HERE,
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": cpus[0] if cpus else "unknown", "kernel": platform.release(),
            "commit": commit or "unknown"}


def spread(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "rounds": values}


def cell(figure):
    return f"{figure['median']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})" if figure else "–"


def table(results, rows):
    """One line for each queue: its figures, then those of Courant divided by them, round by round."""
    names = list(dict.fromkeys(name for rounds in results.values() for figures in rounds for name in figures))
    ratios = [name for name, row in RATIOS.items() if row in rows] if "Courant" in results else []
    summary = {}
    for queue, rounds in results.items():
        figures = {name: spread([one[name] for one in rounds]) for name in names if name in rounds[0]}
        beside = {} if queue == "Courant" else {
            name: spread([own[name] / one[name] for own, one in zip(results["Courant"], rounds)]) for name in ratios}
        summary[queue] = {"figures": figures, "Courant's by its": beside}
    lines = [f"| queue | {' | '.join([*names, *(f'Courant / it: {name}' for name in ratios)])} |",
             "|---|" + "--:|" * (len(names) + len(ratios))]
    for queue, of in summary.items():
        cells = [cell(of["figures"].get(name)) for name in names]
        cells += [cell(of["Courant's by its"].get(name)) for name in ratios]
        lines.append(f"| {queue} | {' | '.join(cells)} |")
    return summary, "\n".join(lines)


def rows_in(text):
    rows = [row for row in re.split(r"[,\s]+", text) if row]
    unknown = [row for row in rows if row not in ROWS]
    if unknown or not rows:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {' and '.join(ROWS)}")
    return [row for row in ROWS if row in rows]


def measure_queues(parser, arguments, rows):
    """The rows of jobs; gives back what goes into the report, and the table."""
    jobs = arguments.jobs
    queues = {
        "Courant": lambda: courant(jobs, rows, arguments.bench, "stream"),
        "Courant, a call for each submit": lambda: courant(jobs, rows, arguments.bench, "calls"),
        "BullMQ, appendfsync always": lambda: bullmq(jobs, rows, "always"),
        "BullMQ, appendfsync everysec": lambda: bullmq(jobs, rows, "everysec"),
        "graphile-worker": lambda: on_postgres("graphile_worker.mjs", jobs // 4, rows),
        "pg-boss": lambda: on_postgres("pgboss.mjs", jobs // 4, rows),
    }
    chosen = {name: run for name, run in queues.items()
              if not arguments.peers or any(word.lower() in name.lower() for word in arguments.peers)}
    if not chosen:
        parser.error(f"no queue has a name with {arguments.peers}; there are {', '.join(queues)}")
    results = {name: [] for name in chosen}
    for _ in range(arguments.rounds):
        for name, run in chosen.items():
            results[name].append(run())
            print(name, {key: round(value, 2) for key, value in results[name][-1].items()}, flush=True)
    return table(results, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=rows_in, default=list(JOB_ROWS), help="what to measure; default jobs,single")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--bench", default="target/release/bench")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--options", default="", help="for `bench` in the rows about sockets, such as '--step-seconds 1'")
    parser.add_argument("peers", nargs="*", help="parts of the names of whom to measure; default all")
    arguments = parser.parse_args()
    rows_of_jobs = [row for row in arguments.rows if row in JOB_ROWS]
    rows_of_sockets = [row for row in arguments.rows if row in socket_peers.ROWS]
    facts = machine()
    report, tables = {"machine": facts, "jobs": arguments.jobs}, []
    if rows_of_jobs:
        report["queues"], lines = measure_queues(parser, arguments, rows_of_jobs)
        tables.append(lines)
    if rows_of_sockets:
        cores, options = (SERVER_CORE, CLIENT_CORE), arguments.options.split()
        report["sockets"], lines = socket_peers.measure(arguments.bench, cores, rows_of_sockets, arguments.rounds,
                                                        arguments.peers, options)
        tables.append(lines)
    tables.append(f"{facts['cores']} cores of {facts['cpu']}, Linux {facts['kernel']}, commit {facts['commit']}")
    print("", *tables, sep="\n\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
