"""Logs for TensorBoard and MLflow; the table of commands has their libraries read what a training wrote."""

import importlib.util
from pathlib import Path

import pytest

from saccade.errors import TrainingError
from saccade.training.loggers import MlflowLogger, TensorBoardLogger


@pytest.mark.parametrize(("log", "extra"), [(TensorBoardLogger, "tensorboard"), (MlflowLogger, "mlflow")])
def test_what_is_not_installed_is_named_with_how_to_get_it(log, extra, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("saccade.training.loggers.find_spec", lambda name: None if name == extra else real(name))
    with pytest.raises(TrainingError, match="is not installed") as caught:
        log()
    assert f"saccade[{extra}]" in str(caught.value.remedy)


def test_nothing_is_logged_unless_asked(tiny_run):
    assert not (Path(tiny_run.path) / "tensorboard").exists()
