"""What is shown while a training goes on: a bar per epoch on a terminal, plain lines elsewhere, both on stderr."""

from __future__ import annotations

import sys
import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tqdm import tqdm

from saccade.errors import TrainingError, type_in_words
from saccade.models.weights import count_weights
from saccade.progress import Progress as Counting
from saccade.progress import counting, log_message
from saccade.recipes import Recipe
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState

if TYPE_CHECKING:
    import keras


@runtime_checkable
class Progress(Protocol):
    """What the training tells as it goes."""

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """The run directory is made and the network built."""

    def on_resume(self, state: TrainingState | None) -> None:
        """The training goes on from a checkpoint, or, where there is none yet, from the beginning."""

    def on_warning(self, text: str) -> None:
        """Something failed that the training can do without."""

    def on_plan(self, text: str) -> None:
        """How the training is fitted into its time budget, in lines; or that it is planned anew."""

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """An epoch, counted from 0, over so many training images; of these so many were seen before."""

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """A step over so many images; mean loss and accuracy of the epoch so far."""

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """The epoch's record and its length, validation included."""

    def on_results_removed(self) -> None:
        """Results of the weights of an interruption were removed: other weights take their place."""

    def on_feature_extraction(self, images: int) -> AbstractContextManager[Counting]:
        """A transferred network looks at so many images, mirrored ones among them; counts them."""

    def on_head_fit(self, penalties: int) -> AbstractContextManager[Counting]:
        """A linear head is fitted with so many penalties; counts them."""

    def on_calibration(self, images: int) -> AbstractContextManager[Counting]:
        """So many validation images are answered for the last time; counts them."""

    def on_train_end(self, run: Run) -> None:
        """All is saved."""


class SilentProgress:
    """Tells nothing."""

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Nothing."""

    def on_resume(self, state: TrainingState | None) -> None:
        """Nothing."""

    def on_warning(self, text: str) -> None:
        """By Python's own means: it is not progress."""
        warnings.warn(text, stacklevel=2)

    def on_plan(self, text: str) -> None:
        """Nothing."""

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Nothing."""

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Nothing."""

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Nothing."""

    def on_results_removed(self) -> None:
        """Nothing."""

    def on_feature_extraction(self, images: int) -> AbstractContextManager[Counting]:
        """Nothing."""
        return counting("features", total=images, unit="images", shown=False)

    def on_head_fit(self, penalties: int) -> AbstractContextManager[Counting]:
        """Nothing."""
        return counting("head", total=penalties, unit="penalties", shown=False)

    def on_calibration(self, images: int) -> AbstractContextManager[Counting]:
        """Nothing."""
        return counting("calibrating", total=images, unit="images", shown=False)

    def on_train_end(self, run: Run) -> None:
        """Nothing."""


class TerminalProgress:
    """Writes to stderr.

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
        """Names the run directory and the size of the network; prints the model summary if asked."""
        self._recipe, self._planned = run.recipe, run.plan() is not None
        if self._summary:
            network.summary(print_fn=lambda text, line_break=True: log_message(text))
        log_message(
            f"run: {run.path} ({self._recipe.name}, {count_weights(network):,} weights, seed {self._recipe.seed})"
        )
        if self._recipe.grown_from and not self._planned:
            log_message(
                f"images grow until epoch {self._recipe.grown_from + 1}; validation is at their final size, so its "
                "accuracy is low before"
            )

    def on_resume(self, state: TrainingState | None) -> None:
        """Says from where."""
        if state is None:
            log_message("there is no checkpoint yet: training from the beginning")
            return
        within = f", {state.seen:,} of its images seen" if state.seen else ""
        where = "its end" if state.ended else f"epoch {state.epoch + 1}{within}"
        log_message(f"going on from the checkpoint of step {state.step:,}: {where}")

    def on_warning(self, text: str) -> None:
        """A line, once for each text."""
        if text not in self._warned:
            self._warned.add(text)
            log_message(f"warning: {text}")

    def on_plan(self, text: str) -> None:
        """The lines, above the epoch's bar."""
        if self._bar is not None:
            self._bar.clear()
        log_message(text)

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Starts the epoch's bar, with rate and remaining time."""
        self._bar = tqdm(
            total=images,
            initial=seen,
            desc=f"epoch {self._counted(epoch + 1)}{self._phase(epoch)}",
            unit=" images",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Moves the bar."""
        # First what is told, then the move, which draws: else the bar would tell what was true a drawing ago.
        self._bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.4f}", refresh=False)
        self._bar.update(images)

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """One line for the epoch, which stays."""
        self._bar.close()
        line = (
            f"epoch {self._counted(record.epoch)}{' (augmented)' if record.phase == 'augmented' else ''}: "
            f"loss {record.loss:.4f}, accuracy {record.accuracy:.4f}"
        )
        if record.validation_loss is not None:
            line += f", validation loss {record.validation_loss:.4f}, accuracy {record.validation_accuracy:.4f}"
        log_message(f"{line}, {seconds:.1f} s")

    def on_results_removed(self) -> None:
        """Says so, and what to do."""
        log_message("removed: results of the interrupted weights; evaluate again")

    def on_feature_extraction(self, images: int) -> AbstractContextManager[Counting]:
        """A bar on a terminal, lines elsewhere."""
        return counting("features", total=images, unit="images", shown=True)

    def on_head_fit(self, penalties: int) -> AbstractContextManager[Counting]:
        """A bar on a terminal, lines elsewhere."""
        return counting("head", total=penalties, unit="penalties", shown=True)

    def on_calibration(self, images: int) -> AbstractContextManager[Counting]:
        """A bar on a terminal, lines elsewhere."""
        return counting("calibrating", total=images, unit="images", shown=True)

    def on_train_end(self, run: Run) -> None:
        """Nothing: whoever asked for the training tells of its end."""

    def _counted(self, epoch: int) -> str:
        """By number, of so many unless time decides on that."""
        return str(epoch) if self._planned else f"{epoch}/{self._recipe.epochs}"

    def _phase(self, epoch: int) -> str:
        phase = "plain" if self._planned else self._recipe.phase(epoch)
        return "" if phase == "plain" else f" ({phase})"


def progress_of(progress: bool | Progress) -> Progress:
    """What a training tells its progress: the terminal, nobody, or whoever is named.

    Raises:
        TrainingError: what is named can't be told.
    """
    if isinstance(progress, bool):
        return TerminalProgress() if progress else SilentProgress()
    if not isinstance(progress, Progress):
        raise TrainingError(
            "a training can't tell this how it goes",
            expected="True, False, or an object with the methods of saccade.training.progress.Progress",
            found=type_in_words(progress),
        )
    return progress
