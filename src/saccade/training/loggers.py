"""Logs for other programs, beside what is shown: TensorBoard's and MLflow's. Neither package is needed without them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from saccade.errors import TrainingError
from saccade.progress import Progress as Counting
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.progress import Progress

if TYPE_CHECKING:
    import keras

_LONGEST_PARAMETER = 500  # characters, MLflow's limit for the value of one


class ForwardingProgress:
    """Passes everything on to another progress."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Passed on."""
        self._shown.on_train_begin(run, network)

    def on_resume(self, state: TrainingState | None) -> None:
        """Passed on."""
        self._shown.on_resume(state)

    def on_warning(self, text: str) -> None:
        """Passed on."""
        self._shown.on_warning(text)

    def on_plan(self, text: str) -> None:
        """Passed on."""
        self._shown.on_plan(text)

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Passed on."""
        self._shown.on_epoch_begin(epoch, images, seen)

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Passed on."""
        self._shown.on_batch_end(images, loss, accuracy)

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Passed on."""
        self._shown.on_epoch_end(record, seconds)

    def on_results_removed(self) -> None:
        """Passed on."""
        self._shown.on_results_removed()

    def on_feature_extraction(self, images: int) -> AbstractContextManager[Counting]:
        """Passed on."""
        return self._shown.on_feature_extraction(images)

    def on_head_fit(self, penalties: int) -> AbstractContextManager[Counting]:
        """Passed on."""
        return self._shown.on_head_fit(penalties)

    def on_calibration(self, images: int) -> AbstractContextManager[Counting]:
        """Passed on."""
        return self._shown.on_calibration(images)

    def on_train_end(self, run: Run) -> None:
        """Passed on."""
        self._shown.on_train_end(run)


class TensorBoardLog(ForwardingProgress):
    """Writes the history for TensorBoard into the run's folder `tensorboard`, named as Keras's own callback names it.

    Args:
        shown: what is shown besides.

    Raises:
        TrainingError: TensorBoard is not installed.
    """

    def __init__(self, shown: Progress) -> None:
        super().__init__(shown)
        _require("tensorboard", "tensorboard")
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Opens the logs."""
        super().on_train_begin(run, network)
        import tensorflow

        folder = run.path / "tensorboard"
        self._writers = {
            split: tensorflow.summary.create_file_writer(str(folder / split)) for split in ("train", "validation")
        }

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Logs the epoch."""
        super().on_epoch_end(record, seconds)
        import tensorflow

        training = {"loss": record.loss, "accuracy": record.accuracy, "learning_rate": record.learning_rate}
        validation = {"loss": record.validation_loss, "accuracy": record.validation_accuracy}
        for split, values in (("train", training | {"seconds": seconds}), ("validation", validation)):
            with self._writers[split].as_default():
                for name, value in values.items():
                    if value is not None:
                        tensorflow.summary.scalar(f"epoch_{name}", value, step=record.epoch)
            self._writers[split].flush()

    def on_train_end(self, run: Run) -> None:
        """Closes the logs."""
        super().on_train_end(run)
        for writer in self._writers.values():
            writer.close()


class MlflowLog(ForwardingProgress):
    """Logs recipe, data and history to MLflow, where its own environment variables say.

    Args:
        shown: what is shown besides.

    Raises:
        TrainingError: MLflow is not installed.
    """

    def __init__(self, shown: Progress) -> None:
        super().__init__(shown)
        _require("mlflow", "mlflow")

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Begins a run of MLflow's, within one that may be active."""
        super().on_train_begin(run, network)
        import mlflow

        mlflow.start_run(run_name=run.name, nested=mlflow.active_run() is not None)
        recipe = {key: str(value)[:_LONGEST_PARAMETER] for key, value in run.recipe.model_dump().items()}
        mlflow.log_params(recipe | {"data": run.data_name, "data_fingerprint": run.data_fingerprint})

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Logs the epoch."""
        super().on_epoch_end(record, seconds)
        import mlflow

        values = record.model_dump(exclude={"epoch", "phase", "steps"}) | {"seconds": seconds}
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None}, step=record.epoch)

    def on_train_end(self, run: Run) -> None:
        """Ends MLflow's run."""
        super().on_train_end(run)
        import mlflow

        mlflow.end_run("FINISHED" if run.status().state != "interrupted" else "KILLED")


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise TrainingError(
            f"{package} is not installed, so nothing can be logged for it",
            remedy=f"install it: pip install 'saccade[{extra}]', or leave --{extra} away",
        )
