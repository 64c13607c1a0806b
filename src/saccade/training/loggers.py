"""Logs for other programs, beside what is shown: TensorBoard's and MLflow's. Neither package is needed without them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from saccade.data.progress import Progress as Counting
from saccade.errors import TrainingError
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.progress import Progress

if TYPE_CHECKING:
    import keras

_LONGEST_PARAMETER = 500  # characters, MLflow's limit for the value of one


class Beside:
    """Passes everything on to another progress."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def training_begins(self, run: Run, network: keras.Model) -> None:
        """Passed on."""
        self._shown.training_begins(run, network)

    def goes_on(self, state: TrainingState | None) -> None:
        """Passed on."""
        self._shown.goes_on(state)

    def warns(self, text: str) -> None:
        """Passed on."""
        self._shown.warns(text)

    def plans(self, text: str) -> None:
        """Passed on."""
        self._shown.plans(text)

    def epoch_begins(self, epoch: int, pictures: int, seen: int) -> None:
        """Passed on."""
        self._shown.epoch_begins(epoch, pictures, seen)

    def step_ends(self, pictures: int, loss: float, accuracy: float) -> None:
        """Passed on."""
        self._shown.step_ends(pictures, loss, accuracy)

    def epoch_ends(self, record: EpochRecord, seconds: float) -> None:
        """Passed on."""
        self._shown.epoch_ends(record, seconds)

    def removes_results(self) -> None:
        """Passed on."""
        self._shown.removes_results()

    def extracting_features(self, pictures: int) -> AbstractContextManager[Counting]:
        """Passed on."""
        return self._shown.extracting_features(pictures)

    def fitting_head(self, penalties: int) -> AbstractContextManager[Counting]:
        """Passed on."""
        return self._shown.fitting_head(penalties)

    def calibrating(self, pictures: int) -> AbstractContextManager[Counting]:
        """Passed on."""
        return self._shown.calibrating(pictures)

    def training_ends(self, run: Run) -> None:
        """Passed on."""
        self._shown.training_ends(run)


class TensorBoardLog(Beside):
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

    def training_begins(self, run: Run, network: keras.Model) -> None:
        """Opens the logs."""
        super().training_begins(run, network)
        import tensorflow

        folder = run.path / "tensorboard"
        self._writers = {
            part: tensorflow.summary.create_file_writer(str(folder / part)) for part in ("train", "validation")
        }

    def epoch_ends(self, record: EpochRecord, seconds: float) -> None:
        """Logs the epoch."""
        super().epoch_ends(record, seconds)
        import tensorflow

        training = {"loss": record.loss, "accuracy": record.accuracy, "learning_rate": record.learning_rate}
        validation = {"loss": record.validation_loss, "accuracy": record.validation_accuracy}
        for part, values in (("train", training | {"seconds": seconds}), ("validation", validation)):
            with self._writers[part].as_default():
                for name, value in values.items():
                    if value is not None:
                        tensorflow.summary.scalar(f"epoch_{name}", value, step=record.epoch)
            self._writers[part].flush()

    def training_ends(self, run: Run) -> None:
        """Closes the logs."""
        super().training_ends(run)
        for writer in self._writers.values():
            writer.close()


class MlflowLog(Beside):
    """Logs recipe, data and history to MLflow, where its own environment variables say.

    Args:
        shown: what is shown besides.

    Raises:
        TrainingError: MLflow is not installed.
    """

    def __init__(self, shown: Progress) -> None:
        super().__init__(shown)
        _require("mlflow", "mlflow")

    def training_begins(self, run: Run, network: keras.Model) -> None:
        """Begins a run of MLflow's, within one that may be active."""
        super().training_begins(run, network)
        import mlflow

        mlflow.start_run(run_name=run.name, nested=mlflow.active_run() is not None)
        recipe = {key: str(value)[:_LONGEST_PARAMETER] for key, value in run.recipe.model_dump().items()}
        mlflow.log_params(recipe | {"data": run.data_name, "data_fingerprint": run.data_fingerprint})

    def epoch_ends(self, record: EpochRecord, seconds: float) -> None:
        """Logs the epoch."""
        super().epoch_ends(record, seconds)
        import mlflow

        values = record.model_dump(exclude={"epoch", "phase", "steps"}) | {"seconds": seconds}
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None}, step=record.epoch)

    def training_ends(self, run: Run) -> None:
        """Ends MLflow's run."""
        super().training_ends(run)
        import mlflow

        mlflow.end_run("FINISHED" if run.status().state != "interrupted" else "KILLED")


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise TrainingError(
            f"{package} is not installed, so nothing can be logged for it",
            remedy=f"install it: pip install 'saccade[{extra}]', or leave --{extra} away",
        )
