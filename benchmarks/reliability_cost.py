"""Run time cost of bit-exact resuming: checkpoints and deterministic operations.

    python benchmarks/reliability_cost.py DATA [--recipe fast] [--repeats 3]

Trains some steps, alternately with and without TensorFlow's op determinism, each time in a new process, and prints the
ratio of the times of a step. Then writes the checkpoint of the training several times, and prints its time as a
fraction of the training, with one checkpoint every 60 s, the default.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import BatchPosition, epoch_batches
from saccade.data.dataset import Split
from saccade.data.load import load
from saccade.data.splits import splits_of
from saccade.models.precision import measure_compute_dtype
from saccade.recipes import Recipe, get_recipe
from saccade.runs.create import create_run
from saccade.runs.training_state import TrainingState
from saccade.training.checkpointing import Checkpointer
from saccade.training.optimizers.build import build_optimizer
from saccade.training.step import TrainingStep, deterministic_operations
from saccade.training.train import build_networks

STEPS = 40
CHECKPOINTS = 10


def main() -> None:
    """Measure both, or, in the new process, steps with or without determinism."""
    parser = argparse.ArgumentParser(description="Measures what checkpoints and deterministic operations cost.")
    parser.add_argument("data", metavar="DATA", help="a name, a folder or an archive, as for `saccade train`")
    parser.add_argument("--recipe", default="fast", help="see `saccade recipes`")
    parser.add_argument("--repeats", type=at_least_one, default=3, help="processes with and without determinism")
    parser.add_argument("--steps", choices=["free", "deterministic"], help=argparse.SUPPRESS)
    add_results_option(parser)
    options = parser.parse_args()
    recipe = get_recipe(options.recipe)
    if options.steps:
        with prepared(options.data, recipe) as state, deterministic_operations(options.steps == "deterministic"):
            step, _, training = state
            print(json.dumps(seconds_of_steps(training, recipe, step)))
        return
    times: dict[str, list[float]] = {"free": [], "deterministic": []}
    for _ in range(options.repeats):
        for mode, seconds in times.items():
            command = [sys.executable, __file__, options.data, "--recipe", options.recipe, "--steps", mode]
            seconds.append(json.loads(timed(command).output))
    ratios = [a / b for a, b in zip(times["deterministic"], times["free"], strict=True)]
    checkpoint_times = seconds_of_checkpoints(options.data, recipe)
    results = [
        Result(recipe.name, "median step, deterministic / free operations", "ratio", ratios),
        Result(recipe.name, "a checkpoint", "s", checkpoint_times),
        Result(recipe.name, "checkpoints, one a minute / training", "ratio", [each / 60 for each in checkpoint_times]),
    ]
    keep_results("reliability_cost", results, options.results)


@contextmanager
def prepared(data: str, recipe: Recipe) -> Iterator[tuple[TrainingStep, Checkpointer, Split]]:
    """Yield the step of a new training, the checkpoints of its run, and its training split."""
    dataset = load(data, image_size=recipe.image_size)
    splits = splits_of(dataset, validation_split=recipe.validation_split, seed=recipe.seed)
    dtype = measure_compute_dtype()
    networks = build_networks(recipe, dataset, splits["train"], dtype)
    optimizer = build_optimizer(recipe, recipe.batch_size_for(len(splits["train"])))
    step = TrainingStep(networks.trained, recipe, optimizer, splits["train"].store.shape[1:3], None)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # not in memory, as /tmp may be
        run = create_run(Path(folder) / "run", dataset, recipe, splits, dtype)
        yield step, Checkpointer(run, networks.trained, optimizer), splits["train"]


def seconds_of_steps(training: Split, recipe: Recipe, step: TrainingStep) -> float:
    """Return the median time of a step of the last epoch, without the first steps."""
    epoch = recipe.epochs - 1
    step.begin_epoch(epoch)
    batches = epoch_batches(
        training,
        BatchPosition(epoch, 0, recipe.batch_size_for(len(training))),
        seed=recipe.seed,
        augmentation=Augmentation.of(recipe) if recipe.phase(epoch) == "augmented" else None,
    )
    durations = []
    for _, batch in zip(range(STEPS), batches, strict=False):
        began = time.perf_counter()
        step(batch, recipe.learning_rate)
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[5:])


def seconds_of_checkpoints(data: str, recipe: Recipe) -> list[float]:
    """Measure the time to write a checkpoint, read it back, and remove an older one."""
    durations = []
    with prepared(data, recipe) as (_, checkpointing, _):
        for number in range(CHECKPOINTS):
            began = time.perf_counter()
            checkpointing.write(TrainingState(step=number), {})
            durations.append(time.perf_counter() - began)
    return durations


if __name__ == "__main__":
    run_program(main)
