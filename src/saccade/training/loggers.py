"""Experiment loggers: TensorBoard and MLflow. Neither package is needed where its logger is not used."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from saccade.errors import TrainingError
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.training.progress import Progress

if TYPE_CHECKING:
    import keras

_LONGEST_PARAMETER = 500  # characters, MLflow's limit for the value of one parameter


class TensorBoardLogger(Progress):
    """Metrics of each epoch for TensorBoard, in the run's folder `tensorboard`, with the names of Keras's callback.

    Raises:
        TrainingError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        _require("tensorboard", "tensorboard")
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Open the event files."""
        import tensorflow

        folder = run.path / "tensorboard"
        self._writers = {
            split: tensorflow.summary.create_file_writer(str(folder / split)) for split in ("train", "validation")
        }

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Write the metrics of the epoch."""
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
        """Close the event files."""
        for writer in self._writers.values():
            writer.close()


class MlflowLogger(Progress):
    """Recipe, data and metrics of each epoch for MLflow, at the place that MLflow's environment variables name.

    Raises:
        TrainingError: MLflow is not installed.
    """

    def __init__(self) -> None:
        _require("mlflow", "mlflow")

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Start an MLflow run, nested in the active one if there is any, and log its parameters."""
        import mlflow

        mlflow.start_run(run_name=run.name, nested=mlflow.active_run() is not None)
        recipe = {key: str(value)[:_LONGEST_PARAMETER] for key, value in run.recipe.model_dump().items()}
        mlflow.log_params(recipe | {"data": run.data_name, "data_fingerprint": run.data_fingerprint})

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Log the metrics of the epoch."""
        import mlflow

        values = record.model_dump(exclude={"epoch", "phase", "steps"}) | {"seconds": seconds}
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None}, step=record.epoch)

    def on_train_end(self, run: Run) -> None:
        """End the MLflow run."""
        import mlflow

        mlflow.end_run("FINISHED" if run.status().state != "interrupted" else "KILLED")


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise TrainingError(
            f"{package} is not installed, so nothing can be logged for it",
            remedy=f"install it: pip install 'saccade[{extra}]', or omit --{extra}",
        )
