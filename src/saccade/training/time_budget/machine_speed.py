"""Measures what a training takes on this machine: a few steps of the real network at two sizes, some validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import epoch_batches
from saccade.data.dataset import Split
from saccade.models.batched_inference import forward
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.runs.time_budget_state import Costs
from saccade.training.fit import Networks
from saccade.training.optimizer import build_optimizer
from saccade.training.step import TrainingStep
from saccade.training.time_budget.budget import Work

# Of each kind of step as many as fit into these seconds, three at least, which are few where a step is long.
_SECONDS = 0.3
_LEAST_TIMES = 3
_VALIDATED = 250
# Pixels in a step at most, as 500 images of 32x32 have: a step of more would take seconds.
_MOST_PIXELS = 500 * 32 * 32
# What comes after the last pass, beside looking at images: some seconds, and so many times what the graph of a step
# takes, because models are built and traced again, for several views, for OOD score, for `model.onnx`. Fitted to 17
# trainings on the machine of docs/performance.md; what is left of them is within 10 s beside six other processes.
_SAVING_SECONDS = 2.0
_SAVING_GRAPHS = 1.3
_CLOSING_GRAPHS = 0.01


def measure_costs(work: Work, networks: Networks, training: Split) -> Costs:
    """Trains and validates with networks of their own, which are of no use afterward.

    Args:
        work: what is to be trained.
        networks: fresh ones by its recipe; they are changed.
        training: the training images.
    """
    step = TrainingStep(
        networks.trained, work.recipe, build_optimizer(work.recipe, work.batch_size), training.store.shape[1:3], None
    )
    last = work.recipe.epochs - 1
    (small, small_graph), (large, large_graph) = (_timed_step(step, work, training, epoch) for epoch in (0, last))
    small_pixels, pixels = (_pixels(work, epoch) for epoch in (0, last))
    pixel = max(0.0, (large - small) / (pixels - small_pixels)) if pixels > small_pixels else large / pixels
    graph = max(small_graph, large_graph)
    return Costs(
        image=max(0.0, large - pixel * pixels),
        pixel=pixel,
        graph=graph,
        validated=_validated_seconds(networks, training) / math.prod(work.recipe.final_size(work.height, work.width)),
        closing=_CLOSING_GRAPHS * graph + _statistics_seconds(work, large),
        saving=_SAVING_SECONDS + _SAVING_GRAPHS * graph,
    )


def _timed_step(step: TrainingStep, work: Work, training: Split, epoch: int) -> tuple[float, float]:
    """Seconds an image in a step of an epoch of the recipe, and those that making its graph takes."""
    recipe = work.recipe
    augmentation = Augmentation.of(recipe) if recipe.phase(epoch) == "augmented" else None
    step.begin_epoch(epoch)
    n = max(1, min(len(training), work.batch_size, _MOST_PIXELS // _pixels(work, epoch)))
    some = training.subset(np.arange(n))
    batch = next(epoch_batches(some, batch_size=n, seed=0, epoch=0, augmentation=augmentation))
    rate = recipe.learning_rate_at(epoch)
    first, *others = _times(lambda: step(batch, rate))
    return median(others) / len(batch.labels), max(0.0, first - median(others))


def _validated_seconds(networks: Networks, images: Split) -> float:
    """Seconds in which an image is validated."""
    n = min(_VALIDATED, len(images))
    folded = fold_normalization(networks.validated)
    _, *others = _times(lambda: forward(folded, images.take, n), least=2)
    return median(others) / n


def _statistics_seconds(work: Work, image: float) -> float:
    """Seconds in which the moving averages are taken anew: steps without gradients, which take two thirds of them."""
    batches = min(work.recipe.batchnorm_recalibration_batches, max(1, work.training // work.batch_size))
    return batches * work.batch_size * image / 3


def _times(act: Callable[[], Any], least: int = _LEAST_TIMES + 1) -> list[float]:
    times: list[float] = []
    while len(times) < least or sum(times[1:]) < _SECONDS:
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return times


def _pixels(work: Work, epoch: int) -> int:
    return math.prod(work.recipe.training_size(epoch, work.height, work.width))
