"""Start-up time of `saccade --help` and other short commands, compared with an empty Python program.

    .venv/bin/python benchmarks/start_up.py

Prints median times of whole processes and their ratios to `python -c pass`.
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
    """Return the wall-clock time of a process, without its output."""
    began = time.perf_counter()
    subprocess.run(command, check=False, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Time the commands in turn, so that changes of the speed of the machine affect all of them."""
    durations: dict[str, list[float]] = {name: [] for name in ("python -c pass", *COMMANDS)}
    for _ in range(RUNS):
        durations["python -c pass"].append(seconds(PYTHON))
        for name, command in COMMANDS.items():
            durations[name].append(seconds(command))
    empty = statistics.median(durations["python -c pass"])
    for name, times in durations.items():
        median = statistics.median(times)
        print(f"{name:22} {median:.3f} s  {median / empty:5.1f} x an empty Python program  (n = {RUNS})")


if __name__ == "__main__":
    main()
