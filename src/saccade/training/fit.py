"""Training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import WHOLE, Batch, BatchPosition, Part, epoch_batches
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
from saccade.training.batchnorm_recalibration import BatchNormRecalibration
from saccade.training.checkpointing import Checkpointer
from saccade.training.class_weights import balanced_class_weights
from saccade.training.cross_fitting import CrossFitting
from saccade.training.interrupt import StopRequest
from saccade.training.optimizers.build import build_optimizer
from saccade.training.parallel.parallel_step import Helpers, ParallelStep
from saccade.training.parallel.replica import part_step
from saccade.training.progress import Progress
from saccade.training.stage_choice import fine_tuning_helped
from saccade.training.step import TrainingStep
from saccade.training.time_budget.budget import Work
from saccade.training.time_budget.forecast import StepForecast
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.transfer_learning.cached_inference import CachedInference
from saccade.training.transfer_learning.image_features import MirroredFeatures
from saccade.training.transfer_learning.linear_probe import LinearProbe, feature_extractor
from saccade.training.transfer_learning.pretrained import Weights
from saccade.training.transfer_learning.upper_training import UpperStep, UpperTraining
from saccade.training.validation_roles import validation_roles

if TYPE_CHECKING:
    import keras

Step = TrainingStep | UpperStep | ParallelStep

# Lower bound of a probability in the loss, as in Keras: the loss of a probability of 0 is finite.
_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Fitted:
    """Result of a training.

    Attributes:
        weights: chosen weights, by `layer/variable`.
        kept_epoch: number of the epoch, from 1, at whose end the weights were taken.
        by_half: weights that the first and the second half of the validation images choose; empty unless cross-fitted.
        state: reason for the end of the training.
        history: one record per epoch.
        cached: inference on what the cache holds of training and validation images; None without frozen layers.
    """

    weights: Weights
    kept_epoch: int
    by_half: Sequence[Weights]
    state: Literal["finished", "stopped early", "interrupted"]
    history: Sequence[EpochRecord]
    cached: CachedInference | None = None


@dataclass(frozen=True)
class Execution:
    """Where a training begins, how long it may take, and who computes it.

    Attributes:
        checkpoint: checkpoint to continue from. None: the training starts at the first epoch.
        timekeeping: plan of a training within a time budget. None: the training takes the recipe's epochs.
        helpers: workers that compute a part of each batch. None: this process computes the whole batches.
    """

    checkpoint: Checkpoint | None = None
    timekeeping: Timekeeping | None = None
    helpers: Helpers | None = None


@dataclass(frozen=True)
class Networks:
    """Two models of one network, whose weights have the same names.

    Attributes:
        trained: training model, with fused layers, in the compute dtype of this machine; where the training only fits a
            head, the network inside `validated`.
        validated: stock Keras model in float32, from pixels to probabilities, without test-time augmentation.
    """

    trained: keras.Model
    validated: keras.Model


def fit(
    networks: Networks,
    splits: Mapping[SplitName, Split],
    run: Run,
    *,
    execution: Execution,
    progress: Progress,
    stop: StopRequest,
) -> Fitted:
    """Train a network by the run's recipe, with validation after each epoch; write the history and checkpoints.

    Args:
        networks: training model, which is trained in place, and stock model for validation.
        splits: splits "train" and "validation"; other splits are not used.
        run: run with the recipe; its history and checkpoints are written.
        execution: where the training begins, how long it may take, and who computes it.
        progress: callbacks.
        stop: stop request, which is checked after each step.

    Raises:
        TrainingError: the loss or a weight is not finite.
        RunError: a checkpoint can't be written or does not fit the network.
    """
    recipe, timekeeping = run.recipe, execution.timekeeping
    roles = validation_roles(splits["validation"], recipe)
    training, validation = splits["train"], roles.selection
    optimizer = build_optimizer(recipe, recipe.batch_size_for(len(training)))
    upper = _upper_training(networks, run, splits, progress, stop)
    step = _step(networks, upper, optimizer, training, run, execution.helpers)
    checkpointer = Checkpointer(run, networks.trained, optimizer)
    state, kept = _beginning(checkpointer, execution.checkpoint, recipe, timekeeping)
    # A killed training may have written epochs after the checkpoint, so history.csv is written from the state.
    _write_history(run, state, progress)
    recalibrate = BatchNormRecalibration(networks.trained, recipe)
    probe = _probe(networks, upper, training, run, state, progress, stop)
    cached: CachedInference | None = probe if recipe.head_only else upper
    score = _Validator(networks.validated, cached)
    best = kept.get("best", {})
    halves = CrossFitting(roles, recipe.keep, state, score, kept)
    watch = timekeeping or _forecast(run, training, validation, progress, measures_steps=upper is None)

    interrupted = False
    while not state.ended and not interrupted:
        start = time.perf_counter() - state.seconds
        progress.on_epoch_begin(state.epoch, len(training), state.seen)
        _compute_outputs(upper, step)
        head_splits = {**splits, "validation": roles.penalty}
        for n in (
            probe.fit(head_splits, state)
            if probe is not None and recipe.phase(state.epoch) == "head"
            else _steps(step, training, recipe, state, watch, upper)
        ):
            state.seconds = time.perf_counter() - start
            progress.on_batch_end(n, state.loss_sum / state.seen, state.correct / state.seen)
            stopping = stop.requested  # read once: Ctrl-C may come between any two lines
            if not state.at_end_of_pass(len(training)) and (stopping or checkpointer.due()):
                checkpointer.write(state, {"best": best, **halves.kept})
            if stopping:
                break
        complete = state.at_end_of_pass(len(training))
        recalibrate(training, state.place(recipe.epochs, len(training))[0])
        weights = _finite(named_weights(networks.trained), state, recipe)
        record = _record(state, recipe, training, score(weights, validation) if validation else None)
        if _improves(record, state, recipe):
            state.best_accuracy, state.best_epoch = record.validation_accuracy, record.epoch
            best = weights if recipe.weights_chosen_by_validation else {}
        halves.on_epoch_end(record.phase, weights)
        _close_epoch(state, record, time.perf_counter() - start, timekeeping, step)
        progress.on_epoch_end(record, state.timings[-1][0])
        _write_history(run, state, progress)
        if complete:
            state.ended = _ended(state, recipe)
            if state.ended or stop.requested or checkpointer.due():
                checkpointer.write(state, {"best": best, **halves.kept})
        interrupted = stop.requested

    last = named_weights(networks.trained)
    if recipe.keep == "if_improved" and best and score.fine_tuning_helped(best, last, validation):
        best = {}
    return replace(_fitted(last, best, halves, state), cached=cached)


def _beginning(
    checkpointer: Checkpointer, checkpoint: Checkpoint | None, recipe: Recipe, timekeeping: Timekeeping | None
) -> tuple[TrainingState, Mapping[str, Weights]]:
    """Restore the checkpoint, if there is one, and return the state and the kept weights at the beginning."""
    if checkpoint is not None:
        checkpointer.restore(checkpoint)
        return checkpoint.state, checkpoint.kept
    state = TrainingState() if timekeeping is None else timekeeping.initial_state()
    if recipe.transfer:
        # The pretrained weights are in no other file of the run, and a resumed training needs them.
        checkpointer.write(state, {})
    return state, {}


def _upper_training(
    networks: Networks, run: Run, splits: Mapping[SplitName, Split], progress: Progress, stop: StopRequest
) -> UpperTraining | None:
    """Return the training on kept outputs of frozen layers, where the recipe keeps them."""
    if not run.recipe.keeps_outputs:
        return None
    return UpperTraining(networks.trained, networks.validated, run, splits, progress, stop)


def _step(
    networks: Networks,
    upper: UpperTraining | None,
    optimizer: keras.optimizers.Optimizer,
    training: Split,
    run: Run,
    helpers: Helpers | None,
) -> Step:
    if helpers is not None:
        return ParallelStep(part_step(networks.trained, run, training, upper, optimizer), helpers)
    class_weights = balanced_class_weights(training, len(run.class_names)) if run.recipe.class_weights else None
    if upper is not None:
        return UpperStep(upper.network, run.recipe, optimizer, class_weights)
    return TrainingStep(networks.trained, run.recipe, optimizer, training.store.shape[1:3], class_weights)


def _compute_outputs(upper: UpperTraining | None, step: Step) -> None:
    """Compute the outputs of frozen layers, where the recipe keeps them; helpers do their share."""
    if upper is None:
        return
    if isinstance(step, ParallelStep):
        step.compute_outputs()
    upper.compute_outputs(_part(step))


def _part(step: Step) -> Part:
    """Return the part of each batch that this process computes."""
    return step.part if isinstance(step, ParallelStep) else WHOLE


def _pixel_batches(training: Split, recipe: Recipe, state: TrainingState, part: Part) -> Iterator[Batch]:
    """Return this process's part of the remaining batches of images of the state's epoch."""
    return epoch_batches(
        training,
        BatchPosition(state.epoch, state.seen, recipe.batch_size_for(len(training))),
        seed=recipe.seed,
        augmentation=Augmentation.of(recipe) if recipe.phase(state.began[0]) == "augmented" else None,
        sampling=recipe.sampling,
        part=part,
    )


def _probe(
    networks: Networks,
    upper: UpperTraining | None,
    training: Split,
    run: Run,
    state: TrainingState,
    progress: Progress,
    stop: StopRequest,
) -> LinearProbe | None:
    """Return the fit of a linear head, where it is still to come."""
    if not run.recipe.head_only and run.recipe.phase(state.epoch) != "head":
        return None
    if upper is not None:
        return LinearProbe(networks.trained, upper, run, progress, stop)
    if not run.recipe.head_only:
        assign(networks.validated, named_weights(networks.trained))
    extract = feature_extractor(networks.validated, run.recipe, run.preprocessing, run.data_name)
    source = MirroredFeatures(extract, training, mirrored=run.recipe.horizontal_flip)
    return LinearProbe(networks.trained, source, run, progress, stop)


def _forecast(
    run: Run, training: Split, validation: Split, progress: Progress, *, measures_steps: bool
) -> StepForecast | None:
    """Return the forecast by the first steps; steps on kept outputs have a forecast from before."""
    if not measures_steps:
        return None
    work = Work(run.recipe, run.preprocessing.height, run.preprocessing.width, len(training), len(validation))
    return StepForecast(work, lambda seconds: progress.on_forecast(seconds, run))


def _fitted(last: Weights, best: Weights, halves: CrossFitting, state: TrainingState) -> Fitted:
    """Return the result: the best weights if there are any, else the last weights."""
    kept, kept_epoch = (best, state.best_epoch) if best else (last, state.epoch)
    return Fitted(kept, kept_epoch, halves.chosen(last), state.ended or "interrupted", state.history)


def _steps(
    step: Step,
    training: Split,
    recipe: Recipe,
    state: TrainingState,
    watch: Timekeeping | StepForecast | None,
    upper: UpperTraining | None,
) -> Iterator[int]:
    """Run the remaining steps of the state's epoch and update the state; yield the number of images of each step."""
    batch_size = recipe.batch_size_for(len(training))
    if state.seen == 0:
        state.began = state.place(recipe.epochs, len(training))
    batches = (
        _pixel_batches(training, recipe, state, _part(step))
        if upper is None
        else upper.batches(BatchPosition(state.epoch, state.seen, batch_size), _part(step))
    )
    if isinstance(watch, StepForecast):
        watch.on_pass_begin()
    for batch in batches:
        epoch, fraction = state.place(recipe.epochs, len(training))
        step.begin_epoch(epoch)
        result = step(batch, recipe.learning_rate_at(epoch, fraction, batch_size))
        if not math.isfinite(result.loss):
            raise _diverged(state.epoch, recipe)
        n = min(batch_size, len(training) - state.seen)  # of all workers
        state.step, state.steps, state.seen = state.step + 1, state.steps + 1, state.seen + n
        state.loss_sum, state.correct = state.loss_sum + result.loss * n, state.correct + result.correct
        if watch is not None:
            watch.on_batch_end(state, n)
        yield n
        if state.at_end_of_pass(len(training)):
            return


def _record(
    state: TrainingState, recipe: Recipe, training: Split, validated: tuple[float, float] | None
) -> EpochRecord:
    """Return the history record of the state's epoch, which may be incomplete."""
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
    """Return the weights if all are finite; else raise an error.

    The loss of the last step is computed before the last update of the weights, so it does not show their divergence.
    """
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        raise _diverged(state.epoch, recipe)
    return weights


def _improves(record: EpochRecord, state: TrainingState, recipe: Recipe) -> bool:
    """Return whether an epoch has the best weights so far: the highest accuracy, then the lowest validation loss.

    With keep=if_improved, the best weights are those of the fitted head, whatever the later epochs.
    """
    if record.validation_accuracy is None or (recipe.keep == "if_improved" and record.phase != "head"):
        return False
    return not state.best_epoch or _rank(record) > _rank(state.history[state.best_epoch - 1])


def _rank(record: EpochRecord) -> tuple[float, float]:
    """Return validation accuracy and negative validation loss; the loss breaks ties, which few images make frequent."""
    return record.validation_accuracy or 0.0, -(record.validation_loss or 0.0)


def _close_epoch(
    state: TrainingState, record: EpochRecord, seconds: float, timekeeping: Timekeeping | None, step: Step
) -> None:
    """Append an epoch to the history, and set the state to the start of the next epoch."""
    # A checkpoint of a version without exchanges has none for its epochs.
    state.exchanges += [(1, 0.0)] * (len(state.timings) - len(state.exchanges))
    exchanged = step.take_exchange_seconds() if isinstance(step, ParallelStep) else 0.0
    state.exchanges.append((_part(step).workers, exchanged))
    state.history.append(record)
    state.timings.append((seconds, state.seen))
    state.epoch += 1
    state.seen = state.steps = state.correct = 0
    state.loss_sum = state.seconds = 0.0
    if timekeeping is not None:
        timekeeping.on_epoch_end(state)


def _ended(state: TrainingState, recipe: Recipe) -> Literal["finished", "stopped early"] | None:
    """Return the reason for the end of the training if the epoch before the state's was the last, else None."""
    if state.seen_in_all >= state.plan.pace.end if state.plan else state.epoch >= recipe.epochs:
        return "finished"
    if not recipe.patience:
        return None
    # Patience counts from the first epoch with the best accuracy: a lower loss at equal accuracy does not reset it.
    first_best = [record.validation_accuracy for record in state.history].index(state.best_accuracy) + 1
    return "stopped early" if state.epoch - max(first_best, recipe.extends) >= recipe.patience else None


def _write_history(run: Run, state: TrainingState, progress: Progress) -> None:
    """Write history.csv and plan.json; a failure is a warning only, since each checkpoint holds both as well."""
    try:
        run.write_history(state.history, state.timings, state.exchanges)
        if state.plan is not None:
            run.write_plan(state.plan)
    except OSError as error:
        progress.on_warning(f"history.csv can't be written: {error.strerror}; the training continues")


class _Validator:
    """Validation of weights.

    Args:
        network: stock Keras model from pixels to probabilities; its weights are replaced.
        cached: inference in place of a pass of the network. None: the network computes the probabilities.
    """

    def __init__(self, network: keras.Model, cached: CachedInference | None = None) -> None:
        self._network = network
        self._cached = cached
        self._folded: keras.Model | None = None

    def __call__(self, weights: Weights, validation: Split) -> tuple[float, float]:
        """Return loss and accuracy of weights on validation images."""
        return _loss_and_accuracy(self._probabilities(weights, validation), validation)

    def fine_tuning_helped(self, head_alone: Weights, finetuned: Weights, validation: Split) -> bool:
        """Return whether the fine-tuned weights predict validation images at least as well as the head alone."""
        return fine_tuning_helped(
            validation.labels,
            self._probabilities(head_alone, validation),
            self._probabilities(finetuned, validation),
        )

    def _probabilities(self, weights: Weights, images: Split) -> NDArray[np.float32]:
        """Return class probabilities by weights, float32 [n, classes], with folded batch normalization."""
        if self._cached is not None:
            return self._cached.probabilities(weights, images)
        assign(self._network, weights)
        folded = self._folded
        self._folded = fold_normalization(self._network) if folded is None else refold(folded, self._network)
        return forward(self._folded, images)


def _loss_and_accuracy(probabilities: NDArray[np.float32], validation: Split) -> tuple[float, float]:
    true_class = probabilities[np.arange(len(validation)), validation.labels].astype(np.float64)
    loss = -np.log(np.maximum(true_class, _SMALLEST_PROBABILITY)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == validation.labels).mean())


def _diverged(epoch: int, recipe: Recipe) -> TrainingError:
    return TrainingError(
        f"the training diverged: the loss or a weight is no longer a finite number in epoch {epoch + 1}",
        remedy=f"train with a smaller learning rate: --set learning_rate={recipe.learning_rate / 10:g}",
    )
