"""Speed of a training on this machine: measured by a few steps at two image sizes, and by a few images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import BatchPosition, epoch_batches
from saccade.data.dataset import Dataset, Split, SplitName
from saccade.machine import usable_cores
from saccade.models.batched_inference import forward
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.frozen_part import cut_layer, upper_part
from saccade.recipes import Recipe
from saccade.runs.time_budget_state import Costs, FeatureCosts
from saccade.training.fit import Networks
from saccade.training.optimizers.build import build_optimizer
from saccade.training.step import TrainingStep
from saccade.training.time_budget.budget import Work, costs_of_steps
from saccade.training.time_budget.feature_budget import FeatureWork
from saccade.training.time_budget.fine_tuning_budget import FineTuningSpeed
from saccade.training.transfer_learning.features import FeatureExtractor
from saccade.training.validation_roles import validation_roles

# Each kind of step is repeated for this number of seconds, and at least `_MIN_REPEATS` times.
_SECONDS = 0.3
_MIN_REPEATS = 3
_VALIDATION_IMAGES = 250
# Largest number of pixels in a measured step, that of 500 images of 32x32: a larger step would take seconds.
_MAX_PIXELS = 500 * 32 * 32
# Time of a linear head relative to the features, in pixels of the network's input on one core: for each training image
# and class, the choice of the penalty by validation images, and the fit. Measured on photographs of clothing and coins.
_PENALTY_PIXELS = 600
_FIT_PIXELS = 100
# Time for all else, relative to the time to build the networks: other networks are built, converted and saved.
_SAVING_BUILDS = 5


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
    return costs_of_steps(
        work,
        image=max(0.0, large - pixel * pixels),
        pixel=pixel,
        graph=max(small_graph, large_graph),
        validated=_validated_seconds(networks, training) / math.prod(work.recipe.final_size(work.height, work.width)),
    )


def upper_step_seconds(network: keras.Model, batch_size: int) -> float:
    """Return the seconds for each image in a step that trains the upper layers of a network on kept outputs.

    The gradient is computed without a compiled graph, because tracing takes longer than the measured passes. The update
    of the weights is left out, and the random states of dropout are restored: the number of passes, which depends on
    the machine, does not change a training.

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

    states = [(variable, keras.ops.convert_to_numpy(variable)) for variable in upper.non_trainable_variables]
    _, *others = _times(differentiate, min_calls=3)
    for variable, before in states:
        variable.assign(before)
    return min(others) / batch_size


def feature_work(
    recipe: Recipe, dataset: Dataset, splits: Mapping[SplitName, Split], extractor: FeatureExtractor
) -> FeatureWork:
    """Return the work of fitting a linear head by a recipe, without the features that are in the cache."""
    height, width = dataset.preprocessing.height, dataset.preprocessing.width
    training, validation = splits["train"], splits["validation"]
    size = recipe.final_size(height, width)
    missing = extractor.num_missing(training, False, size) + extractor.num_missing(validation, False, size)
    if recipe.horizontal_flip:
        missing += extractor.num_missing(training, True, size)
    return FeatureWork(
        recipe,
        height,
        width,
        classes=len(dataset.class_names),
        training=len(training),
        cross_validated=not validation_roles(validation, recipe).penalty,
        missing=missing,
    )


def measure_features(work: FeatureWork, extractor: FeatureExtractor, training: Split, building: float) -> FeatureCosts:
    """Measure the speed of the features; the other costs follow from it and from the seconds to build the networks."""
    height, width = work.recipe.final_size(work.height, work.width)
    pixel = extractor.seconds_per_image(training) / (height * width)
    of_one_core = usable_cores() * pixel
    return FeatureCosts(
        pixel=pixel,
        penalty=_PENALTY_PIXELS * of_one_core,
        fit=_FIT_PIXELS * of_one_core,
        saving=_SAVING_BUILDS * building,
    )


def fine_tuning_speed(
    costs: FeatureCosts, network: keras.Model, recipe: Recipe, training: Split, building: float
) -> FineTuningSpeed:
    """Measure the speed of a step of the upper layers; the other speeds are given."""
    step = upper_step_seconds(network, recipe.batch_size_for(len(training)))
    return FineTuningSpeed(costs, step / math.prod(recipe.final_size(*training.store.shape[1:3])), building)


def _timed_step(step: TrainingStep, work: Work, training: Split, epoch: int) -> tuple[float, float]:
    """Return the seconds per image in a step of an epoch of the recipe, and the seconds to trace its graph."""
    recipe = work.recipe
    augmentation = Augmentation.of(recipe) if recipe.phase(epoch) == "augmented" else None
    step.begin_epoch(epoch)
    n = max(1, min(len(training), work.batch_size, _MAX_PIXELS // _pixels(work, epoch)))
    images = training.subset(np.arange(n))
    rate = recipe.learning_rate_at(epoch)

    def augment_and_step() -> None:  # the operations on pixels may take longer than the step
        step(next(epoch_batches(images, BatchPosition(0, 0, n), seed=0, augmentation=augmentation)), rate)

    first, *others = _times(augment_and_step)
    return median(others) / n, max(0.0, first - median(others))


def _validated_seconds(networks: Networks, images: Split) -> float:
    """Return the seconds per validation image."""
    n = min(_VALIDATION_IMAGES, len(images))
    folded = fold_normalization(networks.validated)
    _, *others = _times(lambda: forward(folded, images[:n]), min_calls=2)
    return median(others) / n


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
