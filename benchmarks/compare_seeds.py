"""How often `saccade compare` calls two runs different: runs that differ by seed alone, and runs with a gap.

    python benchmarks/compare_seeds.py DATA [--seeds 20 [6]] [--recipe fast] [--epochs 2] [--set tta_views=1]
        [--worse validation_split=0.32] [--runs runs/compare-seeds]

Trains one series of runs by `saccade train --seeds`, and a second one with the setting `--worse`, which is there to
make it worse by about 1.5 points: the same network on fewer images. Both are scored on the test split. Then every
pair of single runs is compared: of the first series among themselves, where no pair should be called different, and of
the first with the second, where each should. A second number of seeds is that of the second series. A program that was
stopped goes on where it was: runs and answers that are there are used again, and with `--seeds 5` and then `--seeds 20`
fifteen are added.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.evaluation.compare.paired_predictions import pair_predictions
from saccade.evaluation.compare.significance import LEVEL, Difference, compare_correct, seed_spread
from saccade.runs.run import Run

_PREDICTIONS = "predictions.safetensors"


@dataclass(frozen=True)
class Counted:
    """Of some pairs of runs, how many were called different.

    Attributes:
        pairs: how many there are.
        different: called different by the verdict of `saccade compare`.
        found: of these, those in which the first is ahead.
        by_mcnemar: called different by McNemar's test alone, which knows nothing of seeds.
        differences: of the accuracies, the first's less the second's, one of each pair.
    """

    pairs: int
    different: int
    found: int
    by_mcnemar: int
    differences: tuple[float, ...]


def main() -> None:
    """Trains what is missing, scores it, and compares all pairs."""
    options = read_options()
    better = train_series(options, "better", options.settings, options.seeds[0])
    worse = train_series(options, "worse", [*options.settings, *options.worse], options.seeds[-1])
    correct = correct_of([*better, *worse])
    first, second = correct[: len(better)], correct[len(better) :]
    alike = count(results_of_pairs(combinations(first, 2)))
    apart = count(results_of_pairs(product(first, second)))
    print_accuracy("first series", first)
    print_accuracy(f"second series ({' '.join(options.worse)})", second)
    how = ", ".join([options.recipe, f"{options.epochs} epochs", *options.settings])
    note = f"{how}, {len(first)} and {len(second)} runs, n = {correct.shape[1]:,}"
    print(f"gap of the means: {100 * (first.mean() - second.mean()):.2f} points")
    keep_results("compare_seeds", results_of(alike, apart, note), options.results)


def read_options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Counts how often runs are called different.")
    parser.add_argument("data", metavar="DATA", help="a name, a folder or an archive")
    parser.add_argument(
        "--seeds", type=at_least_two, nargs="+", default=[20], help="runs in each series; their seeds count from 0"
    )
    parser.add_argument("--recipe", default="fast", help="see `saccade recipes`")
    parser.add_argument("--epochs", type=at_least_one, default=2)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="a setting of both series"
    )
    parser.add_argument(
        "--worse",
        action="append",
        metavar="KEY=VALUE",
        help="what makes the second series worse: validation_split=0.32",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/compare-seeds"), help="where the runs are kept")
    add_results_option(parser)
    options = parser.parse_args()
    options.worse = options.worse or ["validation_split=0.32"]
    return options


def at_least_two(text: str) -> int:
    """Reads a number for a command line: 2, 3 and so on."""
    number = at_least_one(text)
    if number < 2:
        raise argparse.ArgumentTypeError("there are no pairs of a single run")
    return number


def train_series(options: argparse.Namespace, name: str, settings: Sequence[str], seeds: int) -> list[Run]:
    """The runs of a series, trained and scored where they were not."""
    changes = [argument for setting in settings for argument in ("--set", setting)]
    command = [*SACCADE, "train", options.data, "--recipe", options.recipe, "--epochs", str(options.epochs), *changes]
    command += ["--seeds", str(seeds), "--out", str(options.runs / name), "--json"]
    result = json.loads(timed(command).output)
    runs = [Run.open(run["run"]) for run in result["runs"]]
    for run in runs:
        if not (run.path / _PREDICTIONS).exists():
            timed([*SACCADE, "evaluate", str(run.path), "--json"])
    return runs


def correct_of(runs: Sequence[Run]) -> NDArray[np.bool_]:
    """Which test images each run was right on, bool [runs, n]."""
    paired = pair_predictions(runs, [run.predictions(_PREDICTIONS) for run in runs])
    return np.stack([paired.correct(place) for place in range(len(runs))])


def results_of_pairs(pairs: Iterable[tuple[NDArray[np.bool_], ...]]) -> list[Difference]:
    """Compares pairs of single runs; the first is put second, so that its being ahead is positive."""
    return [compare_correct(second[None], first[None]) for first, second in pairs]


def count(results: Sequence[Difference]) -> Counted:
    """Counts what was called different."""
    different = [result for result in results if result.p < LEVEL]
    return Counted(
        pairs=len(results),
        different=len(different),
        found=sum(result.difference > 0 for result in different),
        by_mcnemar=sum(result.models_p is not None and result.models_p < LEVEL for result in results),
        differences=tuple(result.difference for result in results),
    )


def print_accuracy(name: str, correct: NDArray[np.bool_]) -> None:
    """Prints the accuracies of a series, and how far seeds are apart."""
    accuracies = [float(accuracy) for accuracy in correct.mean(axis=1)]
    print(
        f"{name}: test accuracy {statistics.fmean(accuracies):.2%} "
        f"± {100 * statistics.stdev(accuracies):.2f} points (n = {len(accuracies)}), "
        f"beyond chance ± {100 * seed_spread(correct):.2f} points"
    )


def results_of(alike: Counted, apart: Counted, note: str) -> list[Result]:
    """The counts as parts; told as counts as well."""
    print(f"by seed alone: {alike.different} of {alike.pairs} pairs called different; McNemar alone {alike.by_mcnemar}")
    print(f"with the gap: found in {apart.found} of {apart.pairs} pairs; McNemar alone {apart.by_mcnemar}")
    return [
        Result("saccade compare", "called different by seed alone", "part", [alike.different / alike.pairs], note),
        Result("McNemar alone", "called different by seed alone", "part", [alike.by_mcnemar / alike.pairs], note),
        Result("saccade compare", "gap found", "part", [apart.found / apart.pairs], note),
        Result("saccade compare", "gap of a pair", "part", apart.differences, note),
    ]


if __name__ == "__main__":
    run_program(main)
