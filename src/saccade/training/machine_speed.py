"""Speed of a training on this machine: measured by a few steps at two image sizes, and by some validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import epoch_batches
from saccade.data.dataset import Split
from saccade.models.batched_inference import forward
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.frozen_part import cut_layer, upper_part
from saccade.runs.time_budget_state import Costs
from saccade.training.fit import Networks
from saccade.training.optimizers.build import build_optimizer
from saccade.training.step import TrainingStep
from saccade.training.time_budget.budget import Work

# Each kind of step is repeated for this number of seconds, and at least `_MIN_REPEATS` times.
_SECONDS = 0.3
_MIN_REPEATS = 3
_VALIDATION_IMAGES = 250
# Largest number of pixels in a measured step, that of 500 images of 32x32: a larger step would take seconds.
_MAX_PIXELS = 500 * 32 * 32
# Time after the last step, except the time for images: a constant, and a multiple of the time to trace the graph of a
# step, because models are built and traced again, for test-time augmentation, for the OOD p-value and for `model.onnx`.
# Fitted to 17 trainings on the machine of docs/performance.md; the residuals are below 10 s with six other processes.
_SAVING_SECONDS = 2.0
_SAVING_GRAPHS = 1.3
_CLOSING_GRAPHS = 0.01


def measure_costs(work: Work, networks: Networks, training: Split) -> Costs:
    """Measure the costs of a training with throw-away networks.

    Args:
        work: the training.
        networks: new networks by the recipe of `work`; their weights change.
        training: training images.
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
        closing=_CLOSING_GRAPHS * graph + _recalibration_seconds(work, large),
        saving=_SAVING_SECONDS + _SAVING_GRAPHS * graph,
    )


def upper_step_seconds(network: keras.Model, batch_size: int) -> float:
    """Return the seconds for each image in a step that trains the upper layers of a network on kept outputs.

    The gradient is computed without a compiled graph, because tracing takes longer than the measured passes. The update
    of the weights is left out.

    Args:
        network: training model with frozen lower layers.
        batch_size: number of images in the step.
    """
    upper = upper_part(network, cut_layer(network))
    outputs = tf.zeros((batch_size, *upper.input_shape[1:]))

    def differentiate() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(upper(outputs, training=True))
        tape.gradient(loss, upper.trainable_variables)

    _, *others = _times(differentiate, min_calls=3)
    return min(others) / batch_size


def _timed_step(step: TrainingStep, work: Work, training: Split, epoch: int) -> tuple[float, float]:
    """Return the seconds per image in a step of an epoch of the recipe, and the seconds to trace its graph."""
    recipe = work.recipe
    augmentation = Augmentation.of(recipe) if recipe.phase(epoch) == "augmented" else None
    step.begin_epoch(epoch)
    n = max(1, min(len(training), work.batch_size, _MAX_PIXELS // _pixels(work, epoch)))
    images = training.subset(np.arange(n))
    rate = recipe.learning_rate_at(epoch)

    def augment_and_step() -> None:  # the operations on pixels may take longer than the step
        step(next(epoch_batches(images, batch_size=n, seed=0, epoch=0, augmentation=augmentation)), rate)

    first, *others = _times(augment_and_step)
    return median(others) / n, max(0.0, first - median(others))


def _validated_seconds(networks: Networks, images: Split) -> float:
    """Return the seconds per validation image."""
    n = min(_VALIDATION_IMAGES, len(images))
    folded = fold_normalization(networks.validated)
    _, *others = _times(lambda: forward(folded, images.take, n), min_calls=2)
    return median(others) / n


def _recalibration_seconds(work: Work, image: float) -> float:
    """Return the seconds of the batch normalization recalibration: forward passes, each a third of a step."""
    batches = min(work.recipe.batchnorm_recalibration_batches, max(1, work.training // work.batch_size))
    return batches * work.batch_size * image / 3


def _times(function: Callable[[], Any], min_calls: int = _MIN_REPEATS + 1) -> list[float]:
    """Return the seconds of each call of a function; the first call traces its graph."""
    times: list[float] = []
    while len(times) < min_calls or sum(times[1:]) < _SECONDS:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def _pixels(work: Work, epoch: int) -> int:
    return math.prod(work.recipe.training_size(epoch, work.height, work.width))
