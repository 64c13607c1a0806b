"""Training speed of a recipe, relative to the speed of its convolutions and dense layers alone.

    python benchmarks/ceiling.py DATA --recipe two-phase [--images 4000] [--epochs 3] [--set KEY=VALUE ...]

Trains on a few thousand images, once for each phase of the recipe, and measures the images per second of all epochs
except the first, in which the step is compiled. Then measures the convolutions and dense layers of the network alone,
forward and backward, with the batch size and compute dtype of the training: no normalization, activation, pooling, loss
or optimizer. Prints the ratio of both speeds.

All measurements are at the full image size, also for a recipe with growing images, and without validation. The last
line is the limit of prediction: forward only, float32, with the batches of `evaluate` and `predict`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from convolutions import forward_pass, products_of, seconds_in_turn, training_pass
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results
from trainings import rates_of

from saccade.data.dataset import Dataset
from saccade.data.load import load
from saccade.models.batched_inference import batch_slices
from saccade.models.build import build_network
from saccade.recipes import ComputeDtype, Recipe, get_recipe
from saccade.training.train import train

REPEATS = 10
PHASES = ("plain", "augmented")
# Growing images and six views would change the work of a step; validation would add to the times. A few thousand images
# would be trained in smaller batches than those of the limit, and the recalibration after each epoch, on a fixed number
# of batches, would take as long as such a short epoch itself.
FIXED = {
    "min_steps_per_epoch": 0,
    "batchnorm_recalibration_batches": 0,
    "initial_scale": 1.0,
    "final_scale": 1.0,
    "tta_views": 1,
    "validation_split": 0.0,
    "keep": "last",
    "patience": 0,
}


def main() -> None:
    """Measure one recipe."""
    options = read_options()
    recipe = get_recipe(options.recipe).with_settings(dict(options.settings) | FIXED)
    dataset = subset_of(load(options.data, image_size=recipe.image_size, progress=True), recipe, options.images)
    height, width = dataset.preprocessing.height, dataset.preprocessing.width
    products = products_of(build_network(recipe, height=height, width=width, classes=len(dataset.class_names)))

    results = []
    for phase in phases_of(recipe):
        run_rates, dtype = trained_rates(dataset, recipe, phase, options.epochs)
        # Directly after each training, because the speed of the machine may change.
        limit = rates(training_pass(products, recipe.batch_size, dtype), recipe.batch_size)
        results += compared(recipe, phase, run_rates, limit, dtype)
    batch = batch_slices(10_000, height, width)[0].stop
    predicting = rates(forward_pass(products, batch, "float32"), batch)
    results.append(Result(recipe.name, f"limit of prediction in float32, batches of {batch}", "images/s", predicting))
    keep_results("ceiling", results, options.results)


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Compares a recipe's training with its convolutions alone.")
    parser.add_argument("data", metavar="DATA", help="a name, a folder or an archive, as for `saccade train`")
    parser.add_argument("--recipe", required=True, help="see `saccade recipes`")
    parser.add_argument("--images", type=at_least_one, default=4000, help="number of training images, in whole batches")
    parser.add_argument("--epochs", type=at_least_one, default=3, help="epochs per phase; the first is not measured")
    parser.add_argument("--set", dest="settings", type=setting, action="append", default=[], metavar="KEY=VALUE")
    add_results_option(parser)
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs must be at least 2: the first is not measured")
    return options


def setting(text: str) -> tuple[str, str]:
    """Parse KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    return key, value


def subset_of(dataset: Dataset, recipe: Recipe, images: int) -> Dataset:
    """Return the data with a random subset of training images, by the recipe's seed, in at least one whole batch."""
    training = dataset.splits["train"]
    n = max(min(images, len(training)) // recipe.batch_size, 1) * recipe.batch_size
    chosen = np.random.default_rng(recipe.seed).permutation(len(training))[:n]
    return replace(dataset, splits={"train": training.subset(chosen), "test": dataset.splits["test"]})


def phases_of(recipe: Recipe) -> list[str]:
    """Return the phases of a recipe."""
    return sorted({recipe.phase(epoch) for epoch in range(recipe.epochs)}, key=PHASES.index)


def trained_rates(dataset: Dataset, recipe: Recipe, phase: str, epochs: int) -> tuple[list[float], ComputeDtype]:
    """Train one phase; return images per second of all epochs but the first, and the compute dtype."""
    only = {f"{each}_epochs": epochs if each == phase else 0 for each in PHASES}
    with tempfile.TemporaryDirectory() as folder:
        run = train(dataset, recipe=recipe, out=Path(folder) / "run", settings=only, progress=False)
        return rates_of(run)[1:], run.environment().compute_dtype


def rates(work: Callable[[], object], batch: int) -> list[float]:
    """Measure the images per second of a pass over a batch, several times."""
    (taken,) = seconds_in_turn([work], REPEATS)
    return [batch / seconds for seconds in taken]


def compared(
    recipe: Recipe, phase: str, trained: Sequence[float], limit: Sequence[float], dtype: ComputeDtype
) -> list[Result]:
    """Return the speed of a phase, the limit measured with it, and their ratio."""
    batches = f"batches of {recipe.batch_size}, {dtype}"
    ratios = [rate / statistics.median(limit) for rate in trained]
    return [
        Result(recipe.name, f"{phase} training", "images/s", trained, batches),
        Result(f"{recipe.name}, convolutions alone", f"{phase} training", "images/s", limit, batches),
        Result(f"{recipe.name} / convolutions alone", f"{phase} training", "ratio", ratios, batches),
    ]


if __name__ == "__main__":
    run_program(main)
