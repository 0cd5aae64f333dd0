#!/usr/bin/env python3
"""Counts the instructions of the hot path and compares them with the committed counts: `make bench-check`.

Instructions, not time: nothing else on the machine changes them. Each operation runs N and 2 N times; the difference, divided by
N, leaves out the start of the program. After a change that is meant to cost more or less: instructions.py PROGRAM --update.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

COUNTS = Path(__file__).with_name("instructions.json")
OPERATIONS = {"append": 200, "submit": 500, "claim": 300, "report": 2000, "deliver": 50}
# More than this share over the committed count fails; less than this share of it asks for new counts.
ROOM = 0.05


def count(program, operation, times):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, operation, str(times)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--update", action="store_true", help="commit to what is counted now")
    arguments = parser.parse_args()
    counted = {}
    for operation, times in OPERATIONS.items():
        once, twice = (count(arguments.program, operation, n) for n in (times, 2 * times))
        counted[operation] = (twice - once) // times
    if arguments.update:
        COUNTS.write_text(json.dumps(counted, indent=1) + "\n")
    committed = json.loads(COUNTS.read_text())
    failed = 0
    for operation, now in counted.items():
        before = committed[operation]
        change = now / before - 1
        over = change > ROOM
        failed += over
        note = "FAILED: more than 5 % over" if over else "less: commit to it with --update" if change < -ROOM else "ok"
        print(f"{operation:10} {now:>9} instructions, committed {before:>9} ({change:+.1%}) {note}")
    print(f"instructions: {len(counted) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
