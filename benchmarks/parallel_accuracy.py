"""Test accuracy after a training by several workers, less that after the same training on one machine.

    python benchmarks/parallel_accuracy.py DATA --recipe two-phase [--workers 2] [--seeds 3] [--set KEY=VALUE ...]

For each seed, one after another: `saccade train DATA` with all cores, `saccade train DATA --ray --workers N` on this
machine, and `saccade evaluate` of both, once. The batch statistics of N workers are each worker's own, so the weights
differ. Wanted: the mean difference is at most one point, and at most two standard errors. The standard error is that of
the differences between seeds, or that of the test images (paired, duplicates as one), whichever is wider.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer_records import clustered_mean
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.data.load import load
from saccade.runs.run import Run

_LARGEST = 0.01


def main() -> None:
    """Train, evaluate, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares the accuracy of several workers with that of one machine.")
    parser.add_argument("data", metavar="DATA", help="the path of a folder with a test split, as for `saccade train`")
    parser.add_argument("--recipe", required=True, help="see `saccade recipes`")
    parser.add_argument("--workers", type=at_least_one, default=2, help="number of workers")
    parser.add_argument("--seeds", type=at_least_one, default=3, help="number of pairs of trainings")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    add_results_option(parser)
    options = parser.parse_args()
    on_ray = ["--workers", str(options.workers), "--ray"]
    words = ["--recipe", options.recipe, *(f"--set={setting}" for setting in options.settings)]
    alone, shared = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            command = [options.data, "--seed", str(seed), *words]
            alone.append(correct_of(command, Path(folder) / f"alone-{seed}"))
            shared.append(correct_of([*command, *on_ray], Path(folder) / f"shared-{seed}"))
            print(f"seed {seed}: {alone[-1].mean():.2%} and {shared[-1].mean():.2%}", flush=True)
    groups = load(options.data).splits["test"].duplicate_groups
    found, error = difference(alone, shared, groups)
    subject = f"{Path(options.data).name}, {options.recipe}"
    note = " ".join(options.settings)
    accuracies = {1: [float(each.mean()) for each in alone], options.workers: [float(each.mean()) for each in shared]}
    each = [more - one for one, more in zip(*accuracies.values(), strict=True)]
    keep_results(
        "parallel_accuracy",
        [
            Result(f"{subject}, one machine", "test accuracy", "fraction", accuracies[1], note),
            Result(f"{subject}, {options.workers} workers", "test accuracy", "fraction", accuracies[options.workers]),
            Result(f"{subject}, {options.workers} workers less one machine", "test accuracy", "fraction", each,
                   f"mean {found:+.4f}, standard error {error:.4f}"),
        ],
        options.results,
    )  # fmt: skip
    if abs(found) > min(_LARGEST, 2 * error):
        sys.exit(f"error: the difference of {found:+.4f} is above {_LARGEST:g} or two standard errors of {error:.4f}")


def correct_of(command: Sequence[str], out: Path) -> NDArray[np.bool_]:
    """Train, evaluate the test split, and return whether each prediction is correct, bool [n]."""
    data, *words = command
    timed([*SACCADE, "train", data, "--out", str(out), *words])
    timed([*SACCADE, "evaluate", str(out)])
    predictions = Run.open(out).predictions("predictions.safetensors")
    correct: NDArray[np.bool_] = predictions.probabilities.argmax(axis=1) == predictions.labels
    return correct


def difference(
    alone: Sequence[NDArray[np.bool_]], shared: Sequence[NDArray[np.bool_]], groups: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the mean difference of the accuracies, -1 to 1, and its standard error.

    Args:
        alone: whether the predictions of one machine are correct, bool [n] for each seed.
        shared: the same for several workers.
        groups: duplicate group of each test image, [n].
    """
    gained = np.mean([more.astype(float) - one for one, more in zip(alone, shared, strict=True)], axis=0)
    mean, of_images = clustered_mean(gained, np.full(len(gained), 1 / len(gained)), groups)
    seeds = [float(more.mean() - one.mean()) for one, more in zip(alone, shared, strict=True)]
    of_seeds = statistics.stdev(seeds) / math.sqrt(len(seeds)) if len(seeds) > 1 else 0.0
    return mean, max(of_images, of_seeds)


if __name__ == "__main__":
    run_program(main)
