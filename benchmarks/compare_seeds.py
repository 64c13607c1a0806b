"""False positive rate and power of `saccade compare`, on runs that differ by seed only and on runs with a gap.

    python benchmarks/compare_seeds.py DATA [--seeds 20 [6]] [--recipe fast] [--epochs 2] [--set tta_views=1]
        [--worse validation_split=0.32] [--runs runs/compare-seeds]

Trains a first series of runs by `saccade train --seeds`, and a second series with the setting `--worse`, which reduces
the accuracy by about 1.5 points: the same network on fewer images. Both are scored on the test split. Then pairs of
single runs are compared: pairs within the first series, which should not differ significantly, and pairs of a run of
the first and a run of the second series, which should. The second number of `--seeds` is the number of runs of the
second series. A stopped program resumes: existing runs and predictions are used again; `--seeds 20` after `--seeds 5`
adds fifteen runs.
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
    """Numbers of significantly different pairs of runs.

    Attributes:
        pairs: number of pairs.
        different: number of pairs that differ significantly by `saccade compare`.
        found: number of these pairs in which the first run has the higher accuracy.
        by_mcnemar: number of pairs that differ significantly by McNemar's test, which ignores the variance over seeds.
        differences: accuracy of the first run minus accuracy of the second run, per pair.
    """

    pairs: int
    different: int
    found: int
    by_mcnemar: int
    differences: tuple[float, ...]


def main() -> None:
    """Train and score missing runs, and compare all pairs."""
    options = read_options()
    better = train_series(options, "better", options.settings, options.seeds[0])
    worse = train_series(options, "worse", [*options.settings, *options.worse], options.seeds[-1])
    correct = correct_of([*better, *worse])
    first, second = correct[: len(better)], correct[len(better) :]
    within = count(results_of_pairs(combinations(first, 2)))
    between = count(results_of_pairs(product(first, second)))
    print_accuracy("first series", first)
    print_accuracy(f"second series ({' '.join(options.worse)})", second)
    setup = ", ".join([options.recipe, f"{options.epochs} epochs", *options.settings])
    note = f"{setup}, {len(first)} and {len(second)} runs, n = {correct.shape[1]:,}"
    print(f"gap of the means: {100 * (first.mean() - second.mean()):.2f} points")
    keep_results("compare_seeds", results_of(within, between, note), options.results)


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Counts significantly different pairs of runs.")
    parser.add_argument("data", metavar="DATA", help="a name, a folder or an archive")
    parser.add_argument(
        "--seeds", type=at_least_two, nargs="+", default=[20], help="number of runs in each series; seeds count from 0"
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
        help="a setting of the second series that reduces its accuracy; default: validation_split=0.32",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/compare-seeds"), help="folder of the runs")
    add_results_option(parser)
    options = parser.parse_args()
    options.worse = options.worse or ["validation_split=0.32"]
    return options


def at_least_two(text: str) -> int:
    """Parse an integer of at least 2."""
    number = at_least_one(text)
    if number < 2:
        raise argparse.ArgumentTypeError("pairs need at least 2 runs")
    return number


def train_series(options: argparse.Namespace, name: str, settings: Sequence[str], seeds: int) -> list[Run]:
    """Train and score the missing runs of a series; return all runs."""
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
    """Return masks of correct predictions for the test images, bool [runs, n]."""
    paired = pair_predictions(runs, [run.predictions(_PREDICTIONS) for run in runs])
    return np.stack([paired.correct(index) for index in range(len(runs))])


def results_of_pairs(pairs: Iterable[tuple[NDArray[np.bool_], ...]]) -> list[Difference]:
    """Compare pairs of single runs; a difference is positive if the first run has the higher accuracy."""
    return [compare_correct(second[None], first[None]) for first, second in pairs]


def count(results: Sequence[Difference]) -> Counted:
    """Count the significant differences."""
    different = [result for result in results if result.p < LEVEL]
    return Counted(
        pairs=len(results),
        different=len(different),
        found=sum(result.difference > 0 for result in different),
        by_mcnemar=sum(result.models_p is not None and result.models_p < LEVEL for result in results),
        differences=tuple(result.difference for result in results),
    )


def print_accuracy(name: str, correct: NDArray[np.bool_]) -> None:
    """Print the accuracies of a series, and the spread over seeds."""
    accuracies = [float(accuracy) for accuracy in correct.mean(axis=1)]
    print(
        f"{name}: test accuracy {statistics.fmean(accuracies):.2%} "
        f"± {100 * statistics.stdev(accuracies):.2f} points (n = {len(accuracies)}), "
        f"beyond chance ± {100 * seed_spread(correct):.2f} points"
    )


def results_of(within: Counted, between: Counted, note: str) -> list[Result]:
    """Print the counts; return them as fractions."""
    print(
        f"by seed alone: {within.different} of {within.pairs} pairs differ significantly; "
        f"by McNemar's test {within.by_mcnemar}"
    )
    print(f"with the gap: found in {between.found} of {between.pairs} pairs; by McNemar's test {between.by_mcnemar}")
    return [
        Result(
            "saccade compare",
            "significantly different by seed alone",
            "fraction",
            [within.different / within.pairs],
            note,
        ),
        Result(
            "McNemar alone",
            "significantly different by seed alone",
            "fraction",
            [within.by_mcnemar / within.pairs],
            note,
        ),
        Result("saccade compare", "gap found", "fraction", [between.found / between.pairs], note),
        Result("saccade compare", "gap of a pair", "fraction", between.differences, note),
    ]


if __name__ == "__main__":
    run_program(main)
