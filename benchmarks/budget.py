"""Run time of `saccade train --minutes N`, relative to the time budget.

    python benchmarks/budget.py DATA [--runs 20] [--minutes 0.7 1 1.3] [--only NAME]

DATA is CIFAR-10 or a copy of it. The whole command is timed on three data sets in turn: the bundled digits at
32x32 pixels, and `cats-and-dogs` and `placed` of `made_data.py`. During trainings on `placed`, another process uses
half a core. The budgets are used in turn too. A first training of `folder` on each data set, which is not measured,
decodes the images: decoding counts toward the budget only in the first training on a data set.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from made_data import make_data
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.data.load import load

_WITH_LOAD = "placed"
_SETS = ("digits", "cats-and-dogs", _WITH_LOAD)
_HALF_A_CORE = """
import time
while True:
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class BudgetedTraining:
    """Training with a time budget.

    Attributes:
        data: name of the data set.
        minutes: time budget, in minutes.
        seconds: wall-clock time of the whole command.
        replans: number of times that the rest of the training was planned again.
    """

    data: str
    minutes: float
    seconds: float
    replans: int

    @property
    def fraction(self) -> float:
        """Wall-clock time as a fraction of the budget."""
        return self.seconds / (60 * self.minutes)


def main() -> None:
    """Create the data, train, print and save the results."""
    parser = argparse.ArgumentParser(description="Measures run times relative to time budgets.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10 or a copy of it: a name, a folder or an archive")
    parser.add_argument("--runs", type=at_least_one, default=20, help="total number of trainings")
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.7, 1.0, 1.3], help="budgets, used in turn")
    parser.add_argument("--only", choices=_SETS, help="use only this data set")
    add_results_option(parser)
    options = parser.parse_args()
    names = [options.only] if options.only else _SETS
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: data_path(name, options.data, Path(folder)) for name in names}
        measured = list(trainings(sets, options.runs, options.minutes, Path(folder)))
    worst = max(measured, key=lambda each: abs(each.fraction - 1))
    print(f"worst: {worst.fraction:.1%} of {worst.minutes:g} minutes, {worst.data}")
    keep_results("budget", results_of(measured), options.results)


def data_path(name: str, data: str, folder: Path) -> str:
    """Return the name or path of a data set; create the data set if necessary."""
    return name if name == "digits" else str(make_data(load(data, progress=True), folder, name)[name])


def trainings(sets: dict[str, str], runs: int, minutes: Sequence[float], folder: Path) -> Iterator[BudgetedTraining]:
    """Train on the data sets in turn; print and yield each training."""
    for name, data in sets.items():
        settings = ["--recipe", "folder", "--epochs", "1", *_size(name)]
        timed([*SACCADE, "train", data, *settings, "--out", str(folder / f"first-{name}")])
    for number in range(runs):
        name = list(sets)[number % len(sets)]
        budget = minutes[number // len(sets) % len(minutes)]
        with half_a_core() if name == _WITH_LOAD else nullcontext():
            training = trained(name, sets[name], budget, folder / f"run-{number}")
        print(
            f"{name}, {budget:g} minutes: {training.seconds:.1f} s, {training.fraction:.1%}, "
            f"planned again {training.replans} times",
            flush=True,
        )
        yield training


def trained(name: str, data: str, minutes: float, out: Path) -> BudgetedTraining:
    """Run the command."""
    done = timed([*SACCADE, "train", data, "--minutes", str(minutes), *_size(name), "--out", str(out), "--json"])
    replans = json.loads((out / "plan.json").read_text())["replans"]
    return BudgetedTraining(name, minutes, done.seconds, len(replans))


@contextmanager
def half_a_core() -> Iterator[None]:
    """Run another process that uses half a core."""
    process = subprocess.Popen([sys.executable, "-c", _HALF_A_CORE])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def results_of(measured: Sequence[BudgetedTraining]) -> list[Result]:
    """Return run times relative to the budgets, by data set, and all deviations."""
    by_data = {
        name: [each for each in measured if each.data == name] for name in dict.fromkeys(each.data for each in measured)
    }
    results = []
    for name, group in by_data.items():
        budgets = ", ".join(f"{minutes:g}" for minutes in sorted({each.minutes for each in group}))
        note = f"budgets of {budgets} minutes" + ("; another process used half a core" if name == _WITH_LOAD else "")
        results.append(
            Result(f"--minutes, {name}", "whole command / budget", "ratio", [each.fraction for each in group], note)
        )
    deviations = [abs(each.fraction - 1) for each in measured]
    return [*results, Result("--minutes", "deviation from the budget", "ratio", deviations)]


def _size(name: str) -> list[str]:
    return ["--set", "image_size=32"] if name == "digits" else []


if __name__ == "__main__":
    run_program(main)
