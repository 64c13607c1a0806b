"""Logs for TensorBoard and MLflow, read back by their own libraries."""

import importlib.util
from pathlib import Path

import mlflow
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import saccade
from saccade.errors import TrainingError
from saccade.training.loggers import MlflowLog, TensorBoardLog
from saccade.training.progress import Silence


def test_both_logs_hold_the_history(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    run = saccade.train(
        tiny_folder, recipe="scheduled", epochs=2, out=tmp_path / "run", progress=MlflowLog(TensorBoardLog(Silence()))
    )
    history = run.history()
    assert len(history) == 2
    for part, expected in (
        ("train", [record.accuracy for record in history]),
        ("validation", [record.validation_accuracy for record in history]),
    ):
        events = EventAccumulator(str(run.path / "tensorboard" / part)).Reload()
        written = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_accuracy")]
        assert written == pytest.approx(expected)
        assert [event.step for event in events.Tensors("epoch_accuracy")] == [1, 2]
    (logged,) = mlflow.search_runs(output_format="list")
    assert logged.info.run_name == run.name
    assert logged.info.status == "FINISHED"
    assert logged.data.params["network"] == "scheduled"
    assert logged.data.metrics["validation_accuracy"] == pytest.approx(history[-1].validation_accuracy)
    assert mlflow.active_run() is None


@pytest.mark.parametrize(("log", "extra"), [(TensorBoardLog, "tensorboard"), (MlflowLog, "mlflow")])
def test_what_is_not_installed_is_named_with_how_to_get_it(log, extra, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("saccade.training.loggers.find_spec", lambda name: None if name == extra else real(name))
    with pytest.raises(TrainingError, match="is not installed") as caught:
        log(Silence())
    assert f"saccade[{extra}]" in str(caught.value.remedy)


def test_nothing_is_logged_unless_asked(tiny_run):
    assert not (Path(tiny_run.path) / "tensorboard").exists()
