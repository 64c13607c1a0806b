"""What `--from RUN` gains over training from the beginning, with few images and the same time.

    python benchmarks/transfer.py DATA [--source RUN] [--draws 5] [--per-class 20 50 200]

DATA is CIFAR-10. A run of `fast` on five of its classes is the source (trained here unless it is named). Of the other
five, as many images of each class as said are drawn; validation images are cut from them. A transfer is trained
on those, then `fast` from the beginning, for as many epochs as fit into the time that the transfer took, but at least
the recipe's own. Both are asked about all test images of the five classes, once, with one view. Each draw has its own
images and its own seed.
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
    """What a training came to.

    Attributes:
        accuracy: on the test images, 0 to 1.
        seconds: of the training, saving included.
        epochs: done.
    """

    accuracy: float
    seconds: float
    epochs: int


def main() -> None:
    """Trains, compares and prints."""
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
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Transfer against training from the beginning.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10: a name, a folder or an archive")
    parser.add_argument("--source", metavar="RUN", help=f"a run that learned {', '.join(FIRST)}")
    parser.add_argument("--draws", type=at_least_one, default=5)
    parser.add_argument("--per-class", type=at_least_one, nargs="+", default=[20, 50, 200])
    add_results_option(parser)
    return parser.parse_args()


def compared(data: Dataset, source: Run, per_class: int, draws: int, workspace: Path) -> list[Result]:
    """All draws of so many images a class, both ways."""
    transfers, beginnings = [], []
    for draw in range(draws):
        few = subset_of(data, SECOND, per_class, draw)
        transfers.append(transferred(few, source, draw, workspace / f"transfer-{per_class}-{draw}"))
        beginnings.append(from_the_beginning(few, draw, transfers[-1].seconds, workspace / f"fast-{per_class}-{draw}"))
        print(
            f"{per_class} a class, draw {draw}: {summary(transfers[-1])}; from the beginning {summary(beginnings[-1])}"
        )
    images = f"{per_class} images a class"
    gains = [one.accuracy - other.accuracy for one, other in zip(transfers, beginnings, strict=True)]
    return [
        Result("transfer", f"test accuracy, {images}", "part", [one.accuracy for one in transfers]),
        Result("fast", f"test accuracy, {images}", "part", [one.accuracy for one in beginnings]),
        Result("transfer less fast", f"test accuracy, {images}", "part", gains),
        Result("transfer", f"time, {images}", "s", [one.seconds for one in transfers]),
        Result("fast", f"time, {images}", "s", [one.seconds for one in beginnings]),
    ]


def summary(trained: Trained) -> str:
    """For people."""
    return f"{trained.accuracy:.2%} after {trained.epochs} epochs in {trained.seconds:.0f} s"


def transferred(few: Dataset, source: Run, seed: int, out: Path) -> Trained:
    """A transfer from the source."""
    began = time.perf_counter()
    run = saccade.transfer(few, source, settings={"seed": seed}, out=out, progress=False)
    return scored(run, few.splits["test"], time.perf_counter() - began)


def from_the_beginning(few: Dataset, seed: int, seconds: float, out: Path) -> Trained:
    """`fast` for at least its own epochs, and for as many as take so many seconds."""
    began = time.perf_counter()
    whole = saccade.train(few, recipe="fast", settings={"seed": seed}, out=out, progress=False)
    took = time.perf_counter() - began
    trained = scored(whole, few.splits["test"], took)
    rates = [timing.seconds for timing in whole.timings()]
    epochs = len(rates) + math.floor((seconds - took) / (sum(rates) / len(rates)))
    if epochs <= len(rates):
        return trained
    began = time.perf_counter()
    longer = saccade.train(
        few, recipe="fast", epochs=epochs, settings={"seed": seed}, out=out.with_name(f"{out.name}-longer"),
        progress=False,
    )  # fmt: skip
    return scored(longer, few.splits["test"], time.perf_counter() - began)


def scored(run: Run, test: Split, seconds: float) -> Trained:
    """A run's accuracy on the test images."""
    predictions = Predictor.from_run(run, tta_views=1).probabilities_of(test).argmax(axis=1)
    return Trained(float((predictions == test.labels).mean()), seconds, len(run.history()))


def subset_of(data: Dataset, names: Sequence[str], per_class: int | None, draw: int) -> Dataset:
    """Some classes of a dataset, with as many training images of each, drawn, or all; and all test images."""
    rng, splits = np.random.default_rng(draw), {}
    for split_name, split in data.splits.items():
        chosen = []
        for name in names:
            own = np.flatnonzero(split.labels == data.class_names.index(name))
            few = split_name == "train" and per_class is not None
            chosen.append(np.sort(rng.choice(own, per_class, replace=False)) if few else own)
        labels = np.repeat(np.arange(len(names)), [len(own) for own in chosen])
        splits[split_name] = replace(split.subset(np.concatenate(chosen)), labels=labels.astype(np.int64))
    which = f"{'-'.join(names)} {per_class} {draw}"
    return replace(
        data, name="cifar5", class_names=tuple(names), splits=splits, fingerprint=f"{data.fingerprint} {which}"
    )


if __name__ == "__main__":
    run_program(main)
