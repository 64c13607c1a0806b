"""Time of a training whose images are decoded when they are needed, against the cache and against a bound.

    python benchmarks/streaming.py FOLDER [--recipe fast] [--epochs 4] [--set KEY=VALUE ...] [--repeats 3]

FOLDER holds images. Both trainings, with `--stream` and from the cache, run as whole commands, with one epoch and with
more; the difference, divided by the further epochs, is the time of an epoch without start and saving. The cache holds
the decoded images, or the index of the images, before the first measurement. The decoding alone reads all training and
validation images once or more, in the order of an epoch.

The bound of an epoch is max(step, (processor time of the steps + processor time of the decoding) / cores), where the
step is the time of an epoch from the cache. The gates: both trainings have equal weights to the bit, and an epoch with
`--stream` takes at most 1.1 of the bound. The first gate holds on any machine; the second one needs a machine without
other work.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import SACCADE, Finished, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.errors import SaccadeError
from saccade.machine import usable_cores
from saccade.runs.run import Run

_MAX_RATIO = 1.1
_DECODING = """
import sys
import numpy as np
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split
splits = load_run_split(Run.open(sys.argv[1]), "train").splits
for number in range(int(sys.argv[2])):
    for name in ("train", "validation"):
        order = np.random.default_rng(number).permutation(len(splits[name]))
        for images in splits[name].batches(order[start : start + 64] for start in range(0, len(order), 64)):
            pass
"""


@dataclass(frozen=True)
class Epoch:
    """Measured times of an epoch.

    Attributes:
        seconds: time by the clock.
        processor_seconds: processor time of the process and its decoding processes.
        peak_memory_mb: largest memory of one of these processes.
    """

    seconds: float
    processor_seconds: float
    peak_memory_mb: float

    @classmethod
    def of(cls, one: Finished, more: Finished, further: int) -> Epoch:
        """Return the times of one of the further epochs of the longer of two commands."""
        return cls(
            (more.seconds - one.seconds) / further,
            (more.processor_seconds - one.processor_seconds) / further,
            more.peak_memory_mb,
        )


def main() -> None:
    """Measure, print and save the results; exit code 1 if a gate is missed."""
    parser = argparse.ArgumentParser(description="Training with images that are decoded when they are needed.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--epochs", type=at_least_one, default=4, help="epochs of the longer training, at least 2")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=at_least_one, default=3)
    add_results_option(parser)
    options = parser.parse_args()
    settings = [word for setting in options.settings for word in ("--set", setting)]
    train = [*SACCADE, "train", str(options.folder), "--recipe", options.recipe, *settings]
    with tempfile.TemporaryDirectory() as work:
        os.environ["SACCADE_CACHE"] = f"{work}/cache"
        runs = [
            measure(train, Path(work) / str(number), max(2, options.epochs)) for number in range(1 + options.repeats)
        ][1:]  # the first one fills the cache
    subject = f"{options.folder.name}, {options.recipe}{''.join(f', {each}' for each in options.settings)}"
    results = [
        Result(subject, f"epoch {name}, {quantity}", unit, [getattr(run[name], field) for run in runs])
        for name in ("from the cache", "streamed", "decoding alone")
        for quantity, field, unit in (
            ("time", "seconds", "s"),
            ("processor time", "processor_seconds", "s"),
            ("peak memory", "peak_memory_mb", "MB"),
        )
    ]
    ratios = Result(subject, "streamed epoch / bound", "ratio", [run["streamed"].seconds / bound(run) for run in runs])
    keep_results("streaming", [*results, ratios], options.results)
    if ratios.median > _MAX_RATIO:
        sys.exit(f"gate missed: {ratios.median:.3f} of the bound, at most {_MAX_RATIO:g} is wanted")


def bound(run: dict[str, Epoch]) -> float:
    """Return the bound of the time of a streamed epoch, in seconds."""
    cached, decoding = run["from the cache"], run["decoding alone"]
    return max(cached.seconds, (cached.processor_seconds + decoding.processor_seconds) / usable_cores())


def measure(train: Sequence[str], folder: Path, epochs: int) -> dict[str, Epoch]:
    """Return the times of an epoch from the cache, streamed, and of its decoding alone.

    Raises:
        SaccadeError: the weights of the two trainings differ.
    """
    found = {}
    for name, options in (("from the cache", []), ("streamed", ["--stream"])):
        one, more = (
            timed([*train, "--epochs", str(number), "--out", f"{folder}/{name}-{number}", *options])
            for number in (1, epochs)
        )
        found[name] = Epoch.of(one, more, epochs - 1)
    weights = [(folder / f"{name}-{epochs}/weights.safetensors").read_bytes() for name in found]
    if weights[0] != weights[1]:
        raise SaccadeError("the trainings from the cache and with --stream have other weights")
    streamed = Run.open(folder / f"streamed-{epochs}").path
    passes = [timed([sys.executable, "-c", _DECODING, str(streamed), str(number)]) for number in (1, epochs)]
    return found | {"decoding alone": Epoch.of(passes[0], passes[1], epochs - 1)}


if __name__ == "__main__":
    run_program(main)
