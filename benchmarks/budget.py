"""Whether `saccade train --minutes N` takes N minutes.

    python benchmarks/budget.py DATA [--runs 20] [--minutes 0.7 1 1.3] [--only NAME]

DATA is CIFAR-10 or a copy of it. The whole command is timed on three sets of images in turn: the bundled digits at
32x32 pixels, and `cats-and-dogs` and `atomic_write` of `made_data.py`, the last of them while another process takes
half a core. The budgets go round as well. A first training of `folder` on each set, which is not counted, decodes it:
what decoding takes is part of a budget, but of the first training on some data alone.
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

_BESIDE = "placed"
_SETS = ("digits", "cats-and-dogs", _BESIDE)
_HALF_A_CORE = """
import time
while True:
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class Kept:
    """A training within a budget.

    Attributes:
        data: what it was on.
        minutes: the budget.
        seconds: that the whole command took.
        replans: how often the rest was planned anew.
    """

    data: str
    minutes: float
    seconds: float
    replans: int

    @property
    def fraction(self) -> float:
        """What it took, as a part of the budget."""
        return self.seconds / (60 * self.minutes)


def main() -> None:
    """Makes the data, trains, prints and keeps what the budgets came to."""
    parser = argparse.ArgumentParser(description="Measures how well time budgets are kept.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10 or a copy of it: a name, a folder or an archive")
    parser.add_argument("--runs", type=at_least_one, default=20, help="trainings in all")
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.7, 1.0, 1.3], help="the budgets, taken in turn")
    parser.add_argument("--only", choices=_SETS, help="of the three sets")
    add_results_option(parser)
    options = parser.parse_args()
    names = [options.only] if options.only else _SETS
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: made(name, options.data, Path(folder)) for name in names}
        kept = list(trainings(sets, options.runs, options.minutes, Path(folder)))
    worst = max(kept, key=lambda each: abs(each.fraction - 1))
    print(f"worst: {worst.fraction:.1%} of {worst.minutes:g} minutes, {worst.data}")
    keep_results("budget", results_of(kept), options.results)


def made(name: str, data: str, folder: Path) -> str:
    """What finds one of the three sets, made if it has to be."""
    return name if name == "digits" else str(make_data(load(data, progress=True), folder, name)[name])


def trainings(sets: dict[str, str], runs: int, minutes: Sequence[float], folder: Path) -> Iterator[Kept]:
    """Trains on the sets in turn; tells of each training."""
    for name, data in sets.items():
        timed(
            [
                *SACCADE,
                "train",
                data,
                "--recipe",
                "folder",
                "--epochs",
                "1",
                *_size(name),
                "--out",
                str(folder / f"first-{name}"),
            ]
        )
    for number in range(runs):
        name = list(sets)[number % len(sets)]
        budget = minutes[number // len(sets) % len(minutes)]
        with half_a_core() if name == _BESIDE else nullcontext():
            kept = trained(name, sets[name], budget, folder / f"run-{number}")
        print(
            f"{name}, {budget:g} minutes: {kept.seconds:.1f} s, {kept.fraction:.1%}, {kept.replans} times planned anew",
            flush=True,
        )
        yield kept


def trained(name: str, data: str, minutes: float, out: Path) -> Kept:
    """Runs the command."""
    done = timed([*SACCADE, "train", data, "--minutes", str(minutes), *_size(name), "--out", str(out), "--json"])
    replans = json.loads((out / "plan.json").read_text())["replans"]
    return Kept(name, minutes, done.seconds, len(replans))


@contextmanager
def half_a_core() -> Iterator[None]:
    """Another process takes half a core meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", _HALF_A_CORE])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def results_of(kept: Sequence[Kept]) -> list[Result]:
    """What all took, as parts of their budgets, by what they were on; and the largest deviation."""
    by_data = {name: [each for each in kept if each.data == name] for name in dict.fromkeys(each.data for each in kept)}
    results = []
    for name, some in by_data.items():
        budgets = ", ".join(f"{minutes:g}" for minutes in sorted({each.minutes for each in some}))
        note = f"budgets of {budgets} minutes" + ("; another process took half a core" if name == _BESIDE else "")
        results.append(
            Result(f"--minutes, {name}", "whole command / budget", "ratio", [each.fraction for each in some], note)
        )
    deviations = [abs(each.fraction - 1) for each in kept]
    return [*results, Result("--minutes", "deviation from the budget", "ratio", deviations)]


def _size(name: str) -> list[str]:
    return ["--set", "image_size=32"] if name == "digits" else []


if __name__ == "__main__":
    run_program(main)
