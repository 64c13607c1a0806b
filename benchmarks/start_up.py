"""How long `saccade --help` and a wrong command take, beside an empty Python program.

    .venv/bin/python benchmarks/start_up.py

Prints medians of whole processes and their ratio to `python -c pass`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 11
PYTHON = [sys.executable, "-c", "pass"]
COMMANDS = {
    "saccade --help": [sys.executable, "-m", "saccade", "--help"],
    "saccade train --help": [sys.executable, "-m", "saccade", "train", "--help"],
    "saccade recipes": [sys.executable, "-m", "saccade", "recipes"],
    "a wrong command": [sys.executable, "-m", "saccade", "trian"],
    "import saccade": [sys.executable, "-c", "import saccade"],
}


def seconds(command: list[str]) -> float:
    """Wall-clock time of one process, output thrown away."""
    began = time.perf_counter()
    subprocess.run(command, check=False, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Times every command in turn, so that a change of the machine's speed meets all alike."""
    taken: dict[str, list[float]] = {name: [] for name in ("python -c pass", *COMMANDS)}
    for _ in range(RUNS):
        taken["python -c pass"].append(seconds(PYTHON))
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    empty = statistics.median(taken["python -c pass"])
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"{name:22} {median:.3f} s  {median / empty:5.1f} x an empty Python program  (n = {RUNS})")


if __name__ == "__main__":
    main()
