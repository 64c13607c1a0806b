"""The training loop: reads from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, SplitName
from saccade.errors import TrainingError
from saccade.models.folding import fold_normalization, refold
from saccade.models.forward import forward
from saccade.models.weights import assign, named_weights
from saccade.pipeline.augmentation import Augmentation
from saccade.pipeline.batches import epoch_batches
from saccade.recipes import Recipe
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.training.interrupt import StopRequest
from saccade.training.optimizer import build_optimizer
from saccade.training.progress import Progress
from saccade.training.step import TrainingStep

if TYPE_CHECKING:
    import keras

# Keras's own bound: a probability of 0 costs this much, not infinity.
_SMALLEST_PROBABILITY = 1e-7


@dataclass
class Fitted:
    """What a training came to.

    Attributes:
        weights: the kept ones, by `layer/variable`.
        kept_epoch: the epoch, counted from 1, after which they were taken.
        state: how the training ended.
        history: a record per epoch.
    """

    weights: dict[str, NDArray[np.float32]]
    kept_epoch: int
    state: Literal["finished", "stopped early", "interrupted"]
    history: list[EpochRecord] = field(default_factory=list)


@dataclass(frozen=True)
class Networks:
    """One network in two forms with the same weights by name.

    Attributes:
        trained: the twin that is trained: fused layers, the compute dtype of this machine.
        validated: what will be saved: stock layers in float32, pixels to probabilities, one view.
    """

    trained: keras.Model
    validated: keras.Model


def fit(
    networks: Networks, parts: Mapping[SplitName, Split], run: Run, *, progress: Progress, stop: StopRequest
) -> Fitted:
    """Trains a network by the run's recipe, validating after every epoch and writing the history as it goes.

    Args:
        networks: the one that is trained in place, and the one that is validated with its weights.
        parts: "train" and "validation"; nothing else is looked at.
        run: its recipe is followed, its history written.
        progress: is told of every step and epoch.
        stop: asked after every step.

    Raises:
        TrainingError: the loss or a weight is no longer a finite number.
    """
    recipe = run.recipe
    training, validation = parts["train"], parts["validation"]
    class_weights = class_weights_of(training, run) if recipe.class_weights else None
    optimizer = build_optimizer(recipe, recipe.batch_size_for(len(training)))
    step = TrainingStep(networks.trained, recipe, optimizer, training.store.shape[1:3], class_weights)
    fitted = Fitted(weights={}, kept_epoch=0, state="finished")
    folded: keras.Model | None = None
    best, seconds, pictures = -1.0, [], []

    for epoch in range(recipe.epochs):
        began = time.perf_counter()
        record, seen = _train_epoch(step, training, recipe, epoch, progress, stop)
        weights = named_weights(networks.trained)
        # The last step's loss is that of the weights before it.
        if not all(np.isfinite(weight).all() for weight in weights.values()):
            raise _diverged(epoch, recipe)
        if validation:
            assign(networks.validated, weights)
            folded = fold_normalization(networks.validated) if folded is None else refold(folded, networks.validated)
            loss, accuracy = validate(folded, validation)
            record = record.model_copy(update={"validation_loss": loss, "validation_accuracy": accuracy})
        fitted.history.append(record)
        seconds.append(time.perf_counter() - began)
        pictures.append(seen)
        progress.epoch_ends(record, seconds[-1])
        run.write_history(fitted.history, seconds, pictures)

        improved = record.validation_accuracy is not None and record.validation_accuracy > best
        if improved and record.validation_accuracy is not None:
            best, best_epoch = record.validation_accuracy, epoch
        if improved or recipe.keep == "last":
            fitted.weights, fitted.kept_epoch = weights, epoch + 1
        if stop.requested and (seen < len(training) or epoch + 1 < recipe.epochs):
            fitted.state = "interrupted"
            break
        if recipe.patience and epoch - best_epoch >= recipe.patience and epoch + 1 < recipe.epochs:
            fitted.state = "stopped early"
            break

    return fitted


def _train_epoch(
    step: TrainingStep, training: Split, recipe: Recipe, epoch: int, progress: Progress, stop: StopRequest
) -> tuple[EpochRecord, int]:
    """One epoch, or its part up to the request to stop; returns its record and the number of pictures seen."""
    phase, batch_size = recipe.phase(epoch), recipe.batch_size_for(len(training))
    step.begin_epoch(epoch)
    progress.epoch_begins(epoch, len(training))
    steps = seen = correct = 0
    loss_sum = 0.0
    for batch in epoch_batches(
        training,
        batch_size=batch_size,
        seed=recipe.seed,
        epoch=epoch,
        augmentation=Augmentation.of(recipe) if phase == "augmented" else None,
    ):
        result = step(batch, recipe.learning_rate_at(epoch, seen / len(training), batch_size))
        n = len(batch.labels)
        steps, seen = steps + 1, seen + n
        loss_sum, correct = loss_sum + result.loss * n, correct + result.correct
        if not math.isfinite(result.loss):
            raise _diverged(epoch, recipe)
        progress.step_ends(n, loss_sum / seen, correct / seen)
        if stop.requested:
            break
    record = EpochRecord(
        epoch=epoch + 1,
        phase=phase,
        steps=steps,
        learning_rate=recipe.learning_rate_at(epoch, 0, batch_size),
        loss=loss_sum / seen,
        accuracy=correct / seen,
        validation_loss=None,
        validation_accuracy=None,
    )
    return record, seen


def validate(model: keras.Model, validation: Split) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy of a model that gives probabilities, each picture scored once."""
    probabilities = forward(model, validation.take, len(validation))
    of_truth = probabilities[np.arange(len(validation)), validation.labels].astype(np.float64)
    loss = -np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == validation.labels).mean())


def class_weights_of(training: Split, run: Run) -> NDArray[np.float32]:
    """Weights inverse to the frequency of each class, float32 [classes]; their mean over the pictures is 1."""
    counts = np.bincount(training.labels, minlength=len(run.class_names))
    return (len(training) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)


def _diverged(epoch: int, recipe: Recipe) -> TrainingError:
    return TrainingError(
        f"the training diverged: the loss or a weight is no longer a finite number in epoch {epoch + 1}",
        remedy=f"train with a smaller learning rate: --set learning_rate={recipe.learning_rate / 10:g}",
    )
