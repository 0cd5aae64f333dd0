#!/usr/bin/env python3
"""Measures Courant and other job queues in turns, in one run: stores and servers on one core, clients and workers on another.

A figure means something only beside the figures of the same run: machines differ, and so do hours on one machine.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SERVER_CORE, CLIENT_CORE = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")


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


def client(store, jobs, *command):
    """Runs a client to its end; its processor time and the store's include the start and the latency samples."""
    before, busy, own, began = cpu_seconds(store.pid), machine_busy_seconds(), os.times(), time.monotonic()
    done = subprocess.run(["taskset", "-c", CLIENT_CORE, *command], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    after, elapsed = os.times(), time.monotonic() - began
    spent = after.children_user + after.children_system - own.children_user - own.children_system
    cpu = cpu_seconds(store.pid) - before + spent
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "jobs/s": figures["jobs_per_s"],
        "jobs per CPU s of all": jobs / cpu,
        "single p50 ms": figures["single_p50_ms"],
        "single p99 ms": figures["single_p99_ms"],
        "foreign CPU, cores": (machine_busy_seconds() - busy - cpu) / elapsed,
    }


def stop(process, how):
    process.send_signal(how)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def bullmq(jobs, appendfsync):
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""]
        redis = subprocess.Popen(["taskset", "-c", SERVER_CORE, "redis-server", *options, "--appendfsync", appendfsync,
                                  "--loglevel", "warning"], stdout=subprocess.DEVNULL)
        try:
            await_port(port, redis)
            return client(redis, jobs, "node", str(HERE / "peers/bullmq.mjs"), str(port), str(jobs))
        finally:
            stop(redis, signal.SIGTERM)


def on_postgres(script, jobs):
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
            return client(postgres, jobs, "node", str(HERE / "peers" / script), url, str(jobs))
        finally:
            stop(postgres, signal.SIGINT)


def courant(jobs, bench):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = ["taskset", "-c", CLIENT_CORE, bench, "jobs", "single", "--rounds", "1", "--jobs", str(jobs)]
        subprocess.run([*command, "--server-core", SERVER_CORE, "--json", out.name], check=True, timeout=900,
                       stdout=subprocess.DEVNULL)
        many, single = (row["figures"] for row in json.loads(Path(out.name).read_text()))
    return {
        "jobs/s": many["jobs/s"][0],
        "jobs per CPU s of all": many["jobs per CPU s of all"][0],
        "single p50 ms": single["p50 ms"][0],
        "single p99 ms": single["p99 ms"][0],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--bench", default="target/release/bench")
    parser.add_argument("--json", type=Path)
    parser.add_argument("queues", nargs="*")
    arguments = parser.parse_args()
    queues = {
        "Courant": lambda: courant(arguments.jobs, arguments.bench),
        "BullMQ, appendfsync always": lambda: bullmq(arguments.jobs, "always"),
        "BullMQ, appendfsync everysec": lambda: bullmq(arguments.jobs, "everysec"),
        "graphile-worker": lambda: on_postgres("graphile_worker.mjs", arguments.jobs // 4),
        "pg-boss": lambda: on_postgres("pgboss.mjs", arguments.jobs // 4),
    }
    chosen = {name: run for name, run in queues.items()
              if not arguments.queues or any(word.lower() in name.lower() for word in arguments.queues)}
    results = {name: [] for name in chosen}
    for _ in range(arguments.rounds):
        for name, run in chosen.items():
            results[name].append(run())
            print(name, {key: round(value, 2) for key, value in results[name][-1].items()}, flush=True)
    print(f"\n| queue | {' | '.join(next(iter(results.values()))[0])} |")
    for name, rounds in results.items():
        cells = []
        for key in rounds[0]:
            values = [figures[key] for figures in rounds]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        print(f"| {name} | {' | '.join(cells)} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
