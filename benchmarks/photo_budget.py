"""Run time of `saccade train --minutes N` on photographs, relative to the time budget, each from an empty cache.

    python benchmarks/photo_budget.py FOLDER [--set NAME ...] [--minutes 0.5 1 3 10] [--runs 2]

FOLDER holds the sets. The whole command is timed. A training that has no use for its minutes ends early and prints so;
where there is no time to fine-tune, a linear head is trained alone; a budget that is too short for the data is an error
that names the minutes that are needed. The gate: no training takes more than 1.1 of its budget, and one that
fine-tunes and does not end early takes at least 0.9.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from processes import SACCADE, at_least_one, run_program
from results import Result, add_results_option, keep_results

SETS = ("coins", "sign_digits", "clothing")
_EARLY = "the training ends early"
_HEAD = "there is no time to fine-tune the network"


@dataclass(frozen=True)
class Budgeted:
    """A training within a time budget.

    Attributes:
        minutes: time budget, in minutes.
        seconds: wall-clock time of the whole command.
        ended: "in time", "early", "head alone", or "too short" for a budget that was rejected.
    """

    minutes: float
    seconds: float
    ended: str

    @property
    def fraction(self) -> float:
        """Wall-clock time as a fraction of the budget."""
        return self.seconds / (60 * self.minutes)

    @property
    def passes(self) -> bool:
        """Whether the training is within the gate."""
        return self.fraction <= 1.1 and (self.fraction >= 0.9 or self.ended != "in time")


def main() -> None:
    """Train, print and save the results."""
    parser = argparse.ArgumentParser(description="Run times of trainings on photographs relative to time budgets.")
    parser.add_argument("data", metavar="FOLDER", type=Path, help="folder of the sets")
    parser.add_argument("--set", nargs="+", choices=SETS, default=SETS, help="sets to measure; default: all")
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.5, 1.0, 3.0, 10.0], help="budgets")
    parser.add_argument("--runs", type=at_least_one, default=2, help="number of trainings for each set and budget")
    add_results_option(parser)
    options = parser.parse_args()
    failed = False
    for name in options.set:
        measured = [
            _train(options.data / name, minutes, seed) for seed in range(options.runs) for minutes in options.minutes
        ]
        failed |= not all(each.passes for each in measured)
        for minutes in options.minutes:
            own = [each for each in measured if each.minutes == minutes]
            note = ", ".join(each.ended for each in own)
            result = Result(f"--minutes {minutes:g}, {name}", "whole command / budget", "ratio", _fractions(own), note)
            keep_results("photo_budget", [result], options.results)
    print("gate failed" if failed else "gate passed")
    sys.exit(1 if failed else 0)


def _fractions(measured: list[Budgeted]) -> list[float]:
    return [each.fraction for each in measured]


def _train(data: Path, minutes: float, seed: int) -> Budgeted:
    with tempfile.TemporaryDirectory() as folder:
        command = [*SACCADE, "train", str(data), "--minutes", f"{minutes:g}", "--seed", str(seed)]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--out", f"{folder}/run"], env={**os.environ, "SACCADE_CACHE": f"{folder}/cache"},
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        seconds = time.perf_counter() - start
    reasons = {"early": _EARLY, "head alone": _HEAD}
    ended = next((name for name, text in reasons.items() if text in done.stderr), "in time")
    ended = "too short" if done.returncode == 1 else ended
    training = Budgeted(minutes, seconds, ended)
    print(f"{data.name}, {minutes:g} minutes: {seconds:.1f} s, {training.fraction:.1%}, {ended}", flush=True)
    if done.returncode not in (0, 1):
        print(done.stderr, file=sys.stderr)
    return training


if __name__ == "__main__":
    run_program(main)
