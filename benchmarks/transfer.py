"""Gain of transfer learning (`--from RUN`) over training from scratch, with few images and equal time.

    python benchmarks/transfer.py DATA [--source RUN] [--draws 5] [--per-class 20 50 200]

DATA is CIFAR-10. The source is a run of `fast` on five of its classes, trained here unless `--source` is given. Of each
of the other five classes `--per-class` images are drawn; validation images are cut from them. A transfer is trained on
these images. Then `fast` is trained from scratch, for the number of epochs that fit into the time of the transfer, but
at least for the number of epochs of the recipe. Both predict all test images of the five classes once, with one view.
Each draw has its own images and its own seed.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results

import saccade
from saccade.data.dataset import Dataset, Split
from saccade.inference.predictor import Predictor
from saccade.runs.run import Run

FIRST = ("airplane", "cat", "deer", "ship", "truck")
SECOND = ("automobile", "bird", "dog", "frog", "horse")


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        accuracy: accuracy on the test images, 0 to 1.
        seconds: wall-clock time of the training, saving included.
        epochs: number of epochs.
    """

    accuracy: float
    seconds: float
    epochs: int


def main() -> None:
    """Train, compare and print."""
    options = read_options()
    data = saccade.load(options.data, progress=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        source = (
            options.source
            or saccade.train(subset_of(data, FIRST, None, 0), recipe="fast", out=workspace / "source").path
        )
        results = [
            result
            for per_class in options.per_class
            for result in compared(data, Run.open(source), per_class, options.draws, workspace)
        ]
    keep_results("transfer", results, options.results)


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Compares transfer learning with training from scratch.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10: a name, a folder or an archive")
    parser.add_argument("--source", metavar="RUN", help=f"a run trained on {', '.join(FIRST)}")
    parser.add_argument("--draws", type=at_least_one, default=5)
    parser.add_argument("--per-class", type=at_least_one, nargs="+", default=[20, 50, 200])
    add_results_option(parser)
    return parser.parse_args()


def compared(data: Dataset, source: Run, per_class: int, draws: int, workspace: Path) -> list[Result]:
    """Train all draws of `per_class` images, by transfer and from scratch."""
    transfers, from_scratch = [], []
    for draw in range(draws):
        subset = subset_of(data, SECOND, per_class, draw)
        transfers.append(transferred(subset, source, draw, workspace / f"transfer-{per_class}-{draw}"))
        from_scratch.append(
            train_from_scratch(subset, draw, transfers[-1].seconds, workspace / f"fast-{per_class}-{draw}")
        )
        print(f"{per_class} a class, draw {draw}: {summary(transfers[-1])}; from scratch {summary(from_scratch[-1])}")
    images = f"{per_class} images a class"
    gains = [one.accuracy - other.accuracy for one, other in zip(transfers, from_scratch, strict=True)]
    return [
        Result("transfer", f"test accuracy, {images}", "fraction", [one.accuracy for one in transfers]),
        Result("fast", f"test accuracy, {images}", "fraction", [one.accuracy for one in from_scratch]),
        Result("transfer less fast", f"test accuracy, {images}", "fraction", gains),
        Result("transfer", f"time, {images}", "s", [one.seconds for one in transfers]),
        Result("fast", f"time, {images}", "s", [one.seconds for one in from_scratch]),
    ]


def summary(trained: Trained) -> str:
    """Format a result."""
    return f"{trained.accuracy:.2%} after {trained.epochs} epochs in {trained.seconds:.0f} s"


def transferred(subset: Dataset, source: Run, seed: int, out: Path) -> Trained:
    """Train a transfer from the source."""
    began = time.perf_counter()
    run = saccade.transfer(subset, source, settings={"seed": seed}, out=out, progress=False)
    return scored(run, subset.splits["test"], time.perf_counter() - began)


def train_from_scratch(subset: Dataset, seed: int, seconds: float, out: Path) -> Trained:
    """Train `fast` for its number of epochs, or for more epochs if they fit into `seconds`."""
    began = time.perf_counter()
    whole = saccade.train(subset, recipe="fast", settings={"seed": seed}, out=out, progress=False)
    elapsed = time.perf_counter() - began
    trained = scored(whole, subset.splits["test"], elapsed)
    epoch_times = [timing.seconds for timing in whole.timings()]
    epochs = len(epoch_times) + math.floor((seconds - elapsed) / (sum(epoch_times) / len(epoch_times)))
    if epochs <= len(epoch_times):
        return trained
    began = time.perf_counter()
    longer = saccade.train(
        subset, recipe="fast", epochs=epochs, settings={"seed": seed}, out=out.with_name(f"{out.name}-longer"),
        progress=False,
    )  # fmt: skip
    return scored(longer, subset.splits["test"], time.perf_counter() - began)


def scored(run: Run, test: Split, seconds: float) -> Trained:
    """Score a run on the test images."""
    predictions = Predictor.from_run(run, tta_views=1).probabilities_of(test).argmax(axis=1)
    return Trained(float((predictions == test.labels).mean()), seconds, len(run.history()))


def subset_of(data: Dataset, names: Sequence[str], per_class: int | None, draw: int) -> Dataset:
    """Return the given classes of a dataset, with `per_class` random training images each (None: all)."""
    rng, splits = np.random.default_rng(draw), {}
    for split_name, split in data.splits.items():
        chosen = []
        for name in names:
            rows = np.flatnonzero(split.labels == data.class_names.index(name))
            limited = split_name == "train" and per_class is not None
            chosen.append(np.sort(rng.choice(rows, per_class, replace=False)) if limited else rows)
        labels = np.repeat(np.arange(len(names)), [len(rows) for rows in chosen])
        splits[split_name] = replace(split.subset(np.concatenate(chosen)), labels=labels.astype(np.int64))
    suffix = f"{'-'.join(names)} {per_class} {draw}"
    return replace(
        data, name="cifar5", class_names=tuple(names), splits=splits, fingerprint=f"{data.fingerprint} {suffix}"
    )


if __name__ == "__main__":
    run_program(main)
