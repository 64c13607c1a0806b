"""Progress callbacks of a training, and the progress on standard error: a bar per epoch on a terminal, else lines."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from saccade.errors import TrainingError, type_in_words
from saccade.models.weights import count_weights
from saccade.progress import Progress as Counter
from saccade.progress import counting, log_message
from saccade.recipes import Recipe
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_command import command_within
from saccade.runs.training_state import TrainingState
from saccade.sanitize import duration_in_words

if TYPE_CHECKING:
    import keras


# Where a training takes longer, the command of a training of this duration is printed.
_LONG_MINUTES = 15
# From this duration on, the clock time of the end is printed too.
_CLOCK_SECONDS = 90


class Progress:
    """Base class of the callbacks of a training; every method does nothing.

    A subclass overrides the methods that it needs.
    """

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Called once the run directory exists and the network is built."""

    def on_resume(self, state: TrainingState | None) -> None:
        """Called before a training continues from a checkpoint; without a checkpoint the state is None."""

    def on_warning(self, text: str) -> None:
        """Called after a failure that does not end the training."""

    def on_plan(self, text: str) -> None:
        """Called with the plan of a training within a time budget, in lines, and with each change of the plan."""

    def on_forecast(self, seconds: float, run: Run) -> None:
        """Called once with a forecast of the time to the end of a training without a time budget.

        Args:
            seconds: seconds from now to the end of the command, measured by first steps or by a few images.
            run: the run.
        """

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Called before an epoch.

        Args:
            epoch: index of the epoch, from 0.
            images: number of training images.
            seen: number of these images that the network has seen in this epoch already, before an interruption.
        """

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Called after each step.

        Args:
            images: number of images in the batch.
            loss: mean loss of the epoch so far, in nats.
            accuracy: accuracy of the epoch so far.
        """

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Called after an epoch and its validation, with the duration of both."""

    def on_results_removed(self) -> None:
        """Called after the results of an interrupted training were removed, because its weights are replaced."""

    def on_stage(self, label: str, *, total: int, unit: str) -> AbstractContextManager[Counter]:
        """Called around the extraction of features, the fit of a linear head, and the calibration.

        Args:
            label: name of the stage, such as "calibrating".
            total: number of units.
            unit: plural noun of what is counted, such as "images".

        Returns:
            A context manager; the stage reports its progress to the counter that the context manager yields.
        """
        return counting(label, total=total, unit=unit, shown=False)

    def on_train_end(self, run: Run) -> None:
        """Called after all files of the run are saved."""


class TerminalProgress(Progress):
    """Progress on standard error.

    Args:
        summary: whether to print the model summary too.
    """

    def __init__(self, *, summary: bool = False) -> None:
        self._recipe: Recipe
        self._planned = False
        self._summary = summary
        self._bar: Any = None
        self._warned: set[str] = set()

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Print the run directory, the recipe and the number of weights, and the model summary if wanted."""
        self._recipe, self._planned = run.recipe, run.plan() is not None
        if self._summary:
            network.summary(print_fn=lambda text, line_break=True: log_message(text))
        environment = run.environment()
        computed = f"{environment.compute_dtype} by {environment.kernels}"
        log_message(
            f"run: {run.path} ({self._recipe.name}, {count_weights(network):,} weights, seed {self._recipe.seed}, "
            f"{computed})"
        )
        if self._recipe.grown_from and not self._planned:
            log_message(
                f"images grow until epoch {self._recipe.grown_from + 1}; validation is at their final size, so its "
                "accuracy is low before"
            )

    def on_resume(self, state: TrainingState | None) -> None:
        """Print the position of the checkpoint."""
        if state is None:
            log_message("there is no checkpoint yet: training from the beginning")
            return
        within = f", {state.seen:,} of its images seen" if state.seen else ""
        where = "its end" if state.ended else f"epoch {state.epoch + 1}{within}"
        log_message(f"resuming from the checkpoint of step {state.step:,}: {where}")

    def on_warning(self, text: str) -> None:
        """Print a warning, unless the same warning was printed before."""
        if text not in self._warned:
            self._warned.add(text)
            log_message(f"warning: {text}")

    def on_plan(self, text: str) -> None:
        """Print the plan above the progress bar."""
        if self._bar is not None:
            self._bar.clear()
        log_message(text)

    def on_forecast(self, seconds: float, run: Run) -> None:
        """Print the forecast, and the command of a shorter training if this one takes long."""
        end = datetime.now() + timedelta(seconds=seconds)
        until = f", until {end:%H:%M}" if seconds >= _CLOCK_SECONDS else ""
        at_most = ", or less, since the training ends when it no longer improves" if run.recipe.patience else ""
        lines = [f"time left: about {duration_in_words(seconds)} on this machine{until}{at_most}"]
        if seconds > 60 * _LONG_MINUTES and (shorter := command_within(run, _LONG_MINUTES)):
            lines.append(f"for a training of {_LONG_MINUTES} minutes: {shorter}")
        self.on_plan("\n".join(lines))

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Open the progress bar of the epoch."""
        self._bar = tqdm(
            total=images,
            initial=seen,
            desc=f"epoch {self._epoch_label(epoch + 1)}{self._phase_label(epoch)}",
            unit=" images",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Advance the progress bar."""
        # `update` draws the bar, so the text is set before.
        self._bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.4f}", refresh=False)
        self._bar.update(images)

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Replace the progress bar by a line with the metrics of the epoch."""
        self._bar.close()
        line = (
            f"epoch {self._epoch_label(record.epoch)}{' (augmented)' if record.phase == 'augmented' else ''}: "
            f"loss {record.loss:.4f}, accuracy {record.accuracy:.4f}"
        )
        if record.validation_loss is not None:
            line += f", validation loss {record.validation_loss:.4f}, accuracy {record.validation_accuracy:.4f}"
        log_message(f"{line}, {seconds:.1f} s")

    def on_results_removed(self) -> None:
        """Print that results were removed, and the remedy."""
        log_message("removed: results of the interrupted weights; evaluate again")

    def on_stage(self, label: str, *, total: int, unit: str) -> AbstractContextManager[Counter]:
        """Show a progress bar on a terminal, a line every ten seconds elsewhere."""
        return counting(label, total=total, unit=unit, shown=True)

    def _epoch_label(self, epoch: int) -> str:
        """Return the epoch's number, with the number of epochs where no time budget decides on that."""
        return str(epoch) if self._planned else f"{epoch}/{self._recipe.epochs}"

    def _phase_label(self, epoch: int) -> str:
        phase = "plain" if self._planned else self._recipe.phase(epoch)
        return "" if phase == "plain" else f" ({phase})"


class ProgressList(Progress):
    """Several progress callbacks, called one after the other.

    Args:
        callbacks: in the order of the calls.
    """

    def __init__(self, *callbacks: Progress) -> None:
        self._callbacks = callbacks

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_train_begin(run, network)

    def on_resume(self, state: TrainingState | None) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_resume(state)

    def on_warning(self, text: str) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_warning(text)

    def on_plan(self, text: str) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_plan(text)

    def on_forecast(self, seconds: float, run: Run) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_forecast(seconds, run)

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_epoch_begin(epoch, images, seen)

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_batch_end(images, loss, accuracy)

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_epoch_end(record, seconds)

    def on_results_removed(self) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_results_removed()

    @contextmanager
    def on_stage(self, label: str, *, total: int, unit: str) -> Iterator[Counter]:
        """Call each; the counter that is yielded advances the counters of all."""
        with ExitStack() as stack:
            counters = [
                stack.enter_context(callback.on_stage(label, total=total, unit=unit)) for callback in self._callbacks
            ]
            yield _Counters(counters)

    def on_train_end(self, run: Run) -> None:
        """Call each."""
        for callback in self._callbacks:
            callback.on_train_end(run)


class PythonWarnings(Progress):
    """Warnings of a training as Python warnings, and nothing else: the callbacks of `progress=False`."""

    def on_warning(self, text: str) -> None:
        """Issue a Python warning."""
        warnings.warn(text, stacklevel=2)


class _Counters:
    def __init__(self, counters: list[Counter]) -> None:
        self._counters = counters

    def update(self, n: int) -> None:
        for counter in self._counters:
            counter.update(n)


def progress_of(progress: bool | Progress) -> Progress:
    """Return the progress callbacks for the argument `progress` of a command.

    Args:
        progress: True for progress on standard error, False for none, or callbacks.

    Raises:
        TrainingError: the argument is neither a bool nor a `Progress`.
    """
    if isinstance(progress, bool):
        return TerminalProgress() if progress else PythonWarnings()
    if not isinstance(progress, Progress):
        raise TrainingError(
            "the argument `progress` of a training has the wrong type",
            expected="True, False, or an instance of a subclass of saccade.training.progress.Progress",
            found=type_in_words(progress),
        )
    return progress
