"""The training loop: reads from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import epoch_batches
from saccade.data.dataset import Split, SplitName
from saccade.errors import TrainingError
from saccade.models.batched_inference import forward
from saccade.models.batchnorm_folding.fold import fold_normalization, refold
from saccade.models.weights import assign, named_weights
from saccade.recipes import Recipe
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.batchnorm_recalibration import FreshStatistics
from saccade.training.checkpointing import Checkpointing
from saccade.training.class_weights import class_weights_of
from saccade.training.cross_fitting import CrossFitting, Weights
from saccade.training.interrupt import StopRequest
from saccade.training.linear_probe import head_epoch
from saccade.training.optimizer import build_optimizer
from saccade.training.progress import Progress
from saccade.training.step import TrainingStep
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.validation_roles import validation_roles

if TYPE_CHECKING:
    import keras

# Keras's own bound: a probability of 0 costs this much, not infinity.
_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Attributes:
        weights: the kept ones, by `layer/variable`.
        kept_epoch: the epoch, counted from 1, after which they were taken.
        by_half: those that the first and the second half of the validation images choose, where cross-fitted.
        state: how the training ended.
        history: a record per epoch.
    """

    weights: Weights
    kept_epoch: int
    by_half: Sequence[Weights]
    state: Literal["finished", "stopped early", "interrupted"]
    history: Sequence[EpochRecord]


@dataclass(frozen=True)
class Networks:
    """One network in two forms with the same weights by name.

    Attributes:
        trained: the training model that is trained: fused layers, the compute dtype of this machine.
        validated: what will be saved: stock layers in float32, pixels to probabilities, one view.
    """

    trained: keras.Model
    validated: keras.Model


def fit(
    networks: Networks,
    splits: Mapping[SplitName, Split],
    run: Run,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress,
    stop: StopRequest,
    timekeeping: Timekeeping | None = None,
) -> Fitted:
    """Trains a network by the run's recipe, validating after every epoch; writes history and checkpoints as it goes.

    Args:
        networks: the one that is trained in place, and the one that is validated with its weights.
        splits: "train" and "validation"; nothing else is looked at.
        run: its recipe is followed, its history and checkpoints written.
        checkpoint: where to go on from; None: from the beginning.
        progress: is told of every step and epoch.
        stop: asked after every step.
        timekeeping: plans a training within a time budget; None: the recipe's epochs are done, however long they take.

    Raises:
        TrainingError: the loss or a weight is no longer a finite number.
        RunError: a checkpoint can't be written, or is not one of this network.
    """
    recipe = run.recipe
    roles = validation_roles(splits["validation"], recipe)
    training, validation = splits["train"], roles.selection
    class_weights = class_weights_of(training, run)
    optimizer = build_optimizer(recipe, recipe.batch_size_for(len(training)))
    step = TrainingStep(networks.trained, recipe, optimizer, training.store.shape[1:3], class_weights)
    checkpointing = Checkpointing(run, networks.trained, optimizer)
    state = TrainingState() if timekeeping is None else timekeeping.begun()
    kept: Mapping[str, Weights] = {}
    if checkpoint is not None:
        checkpointing.restore(checkpoint)
        state, kept = checkpoint.state, checkpoint.kept
    elif recipe.transfer:
        # What the network brought is in no other file: whoever goes on needs it.
        checkpointing.write(state, {})
    # Cut back to the checkpoint: a training that was killed may have written more.
    _write_history(run, state, progress)
    statistics = FreshStatistics(networks.trained, recipe)
    validated = _Validated(networks.validated)
    best = kept.get("best", {})
    halves = CrossFitting(roles, recipe.keep, state, validated, kept)

    interrupted = False
    while not state.ended and not interrupted:
        began = time.perf_counter() - state.seconds
        progress.on_epoch_begin(state.epoch, len(training), state.seen)
        head = recipe.phase(state.epoch) == "head"
        fitting = head_epoch(
            networks.trained, networks.validated, {**splits, "validation": roles.penalty}, run, state, progress
        )
        for n in fitting if head else _steps(step, training, recipe, state, timekeeping):
            state.seconds = time.perf_counter() - began
            progress.on_batch_end(n, state.loss_sum / state.seen, state.correct / state.seen)
            stopping = stop.requested  # asked once: Ctrl-C may come between any two lines
            if not state.at_end_of_pass(len(training)) and (stopping or checkpointing.due()):
                checkpointing.write(state, {"best": best, **halves.kept})
            if stopping:
                break
        whole = state.at_end_of_pass(len(training))
        statistics(training, state.place(recipe.epochs, len(training))[0])
        weights = _finite(named_weights(networks.trained), state, recipe)
        record = _record(state, recipe, training, validated(weights, validation) if validation else None)
        if _improves(record, state, recipe):
            state.best_accuracy, state.best_epoch = record.validation_accuracy, record.epoch
            best = weights if recipe.weights_chosen_by_validation else {}
        halves.on_epoch_end(record.phase, weights)
        _close_epoch(state, record, time.perf_counter() - began, timekeeping)
        progress.on_epoch_end(record, state.timings[-1][0])
        _write_history(run, state, progress)
        if whole:
            state.ended = _ended(state, recipe)
            if state.ended or stop.requested or checkpointing.due():
                checkpointing.write(state, {"best": best, **halves.kept})
        interrupted = stop.requested

    return _fitted(named_weights(networks.trained), best, halves, state, recipe)


def _fitted(last: Weights, best: Weights, halves: CrossFitting, state: TrainingState, recipe: Recipe) -> Fitted:
    """What is kept of a training: the last weights, or, where they are wanted and there are any, the best."""
    keeps_best = best and not (recipe.keep == "if_improved" and _helped(state))
    kept, kept_epoch = (best, state.best_epoch) if keeps_best else (last, state.epoch)
    return Fitted(kept, kept_epoch, halves.chosen(last), state.ended or "interrupted", state.history)


def _steps(
    step: TrainingStep, training: Split, recipe: Recipe, state: TrainingState, timekeeping: Timekeeping | None
) -> Iterator[int]:
    """Does the steps that are left of the state's epoch, moving the state on; yields each one's number of images."""
    batch_size = recipe.batch_size_for(len(training))
    if state.seen == 0:
        state.began = state.place(recipe.epochs, len(training))
    for batch in epoch_batches(
        training,
        batch_size=batch_size,
        seed=recipe.seed,
        epoch=state.epoch,
        augmentation=Augmentation.of(recipe) if recipe.phase(state.began[0]) == "augmented" else None,
        seen=state.seen,
    ):
        epoch, fraction = state.place(recipe.epochs, len(training))
        step.begin_epoch(epoch)
        result = step(batch, recipe.learning_rate_at(epoch, fraction, batch_size))
        if not math.isfinite(result.loss):
            raise _diverged(state.epoch, recipe)
        n = len(batch.labels)
        state.step, state.steps, state.seen = state.step + 1, state.steps + 1, state.seen + n
        state.loss_sum, state.correct = state.loss_sum + result.loss * n, state.correct + result.correct
        if timekeeping is not None:
            timekeeping.on_batch_end(state, n)
        yield n
        if state.at_end_of_pass(len(training)):
            return


def _record(
    state: TrainingState, recipe: Recipe, training: Split, validated: tuple[float, float] | None
) -> EpochRecord:
    """The row of the history for the state's epoch, or for the part of it that was done."""
    loss, accuracy = validated or (None, None)
    return EpochRecord(
        epoch=state.epoch + 1,
        phase=recipe.phase(state.began[0]),
        steps=state.steps,
        learning_rate=recipe.learning_rate_at(*state.began, recipe.batch_size_for(len(training))),
        loss=state.loss_sum / state.seen,
        accuracy=state.correct / state.seen,
        validation_loss=loss,
        validation_accuracy=accuracy,
    )


def _finite(weights: Weights, state: TrainingState, recipe: Recipe) -> Weights:
    """The weights, if they are numbers: the last step's loss is that of the weights before it."""
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        raise _diverged(state.epoch, recipe)
    return weights


def _improves(record: EpochRecord, state: TrainingState, recipe: Recipe) -> bool:
    """Whether an epoch has the best weights so far: the highest validation accuracy, of several the lowest loss.

    With keep=if_improved, the best weights are those of the fitted head, whatever comes after.
    """
    if record.validation_accuracy is None or (recipe.keep == "if_improved" and record.phase != "head"):
        return False
    return not state.best_epoch or _merit(record) > _merit(state.history[state.best_epoch - 1])


def _merit(record: EpochRecord) -> tuple[float, float]:
    """What epochs are compared by. A loss is far finer than the accuracy of a few images, where many epochs tie."""
    return record.validation_accuracy or 0.0, -(record.validation_loss or 0.0)


def _helped(state: TrainingState) -> bool:
    """Whether the last epoch is no worse in validation than the fitted head."""
    last = state.history[-1].validation_accuracy
    return last is None or state.best_accuracy is None or last >= state.best_accuracy


def _close_epoch(state: TrainingState, record: EpochRecord, seconds: float, timekeeping: Timekeeping | None) -> None:
    """Takes an epoch into the history, and goes to the start of the next."""
    state.history.append(record)
    state.timings.append((seconds, state.seen))
    state.epoch += 1
    state.seen = state.steps = state.correct = 0
    state.loss_sum = state.seconds = 0.0
    if timekeeping is not None:
        timekeeping.on_epoch_end(state)


def _ended(state: TrainingState, recipe: Recipe) -> Literal["finished", "stopped early"] | None:
    """Whether the epoch before the state's was the last."""
    if state.seen_in_all >= state.plan.pace.end if state.plan else state.epoch >= recipe.epochs:
        return "finished"
    if not recipe.patience:
        return None
    # That the loss falls on at the same accuracy is no gain in accuracy, for which patience waits.
    gained = [record.validation_accuracy for record in state.history].index(state.best_accuracy) + 1
    return "stopped early" if state.epoch - max(gained, recipe.extends) >= recipe.patience else None


def _write_history(run: Run, state: TrainingState, progress: Progress) -> None:
    """Writes the log; a good training goes on without it, since every checkpoint holds it too."""
    try:
        run.write_history(state.history, state.timings)
        if state.plan is not None:
            run.write_plan(state.plan)
    except OSError as error:
        progress.on_warning(f"history.csv can't be written: {error.strerror}; the training goes on")


class _Validated:
    """Scores weights on the validation split.

    Args:
        network: of stock layers, pixels to probabilities; takes the weights.
    """

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        self._folded: keras.Model | None = None

    def __call__(self, weights: Weights, validation: Split) -> tuple[float, float]:
        """Loss and accuracy, by the network with its normalization folded."""
        assign(self._network, weights)
        folded = self._folded
        self._folded = fold_normalization(self._network) if folded is None else refold(folded, self._network)
        return validate(self._folded, validation)


def validate(model: keras.Model, validation: Split) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy of a model that gives probabilities, each image scored once."""
    probabilities = forward(model, validation.take, len(validation))
    of_truth = probabilities[np.arange(len(validation)), validation.labels].astype(np.float64)
    loss = -np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == validation.labels).mean())


def _diverged(epoch: int, recipe: Recipe) -> TrainingError:
    return TrainingError(
        f"the training diverged: the loss or a weight is no longer a finite number in epoch {epoch + 1}",
        remedy=f"train with a smaller learning rate: --set learning_rate={recipe.learning_rate / 10:g}",
    )
