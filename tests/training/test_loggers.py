"""TensorBoard and MLflow loggers without their packages; the table of commands tests the logs themselves."""

import importlib.util
from pathlib import Path

import pytest

from saccade.errors import TrainingError
from saccade.training.loggers import MlflowLogger, TensorBoardLogger


@pytest.mark.parametrize(("logger", "extra"), [(TensorBoardLogger, "tensorboard"), (MlflowLogger, "mlflow")])
def test_a_missing_package_is_an_error_with_the_command_that_installs_it(logger, extra, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("saccade.training.loggers.find_spec", lambda name: None if name == extra else real(name))
    with pytest.raises(TrainingError, match="is not installed") as caught:
        logger()
    assert f"saccade[{extra}]" in str(caught.value.remedy)


def test_no_logs_are_written_by_default(tiny_run):
    assert not (Path(tiny_run.path) / "tensorboard").exists()
