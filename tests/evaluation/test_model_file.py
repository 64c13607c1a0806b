"""An exported file is scored like the run that it came from."""

import json

import pytest
from click.testing import CliRunner

import saccade
from saccade.cli.main import cli
from saccade.errors import EvaluationError


@pytest.fixture(scope="module")
def file(tiny_run, tmp_path_factory):
    return saccade.export(tiny_run, format="onnx", out=tmp_path_factory.mktemp("export") / "tiny.onnx").path


def test_it_has_the_runs_accuracy_and_leaves_nothing(file, tiny_run, tiny_folder):
    before = sorted(file.parent.rglob("*"))
    found, expected = saccade.evaluate(file, data=tiny_folder), saccade.evaluate(tiny_run)
    assert found.accuracy == expected.accuracy
    assert found.log_loss == pytest.approx(expected.log_loss, abs=1e-5)
    assert (found.n, found.split, found.class_names) == (60, "test", tiny_run.class_names)
    assert found.temperature == expected.temperature == tiny_run.temperature
    assert found.files == ()
    assert sorted(file.parent.rglob("*")) == before


def test_the_data_must_be_named_and_fit(file):
    with pytest.raises(EvaluationError, match="does not contain the path of its data"):
        saccade.evaluate(file)
    with pytest.raises(EvaluationError, match="classes of this data"):
        saccade.evaluate(file, data="digits")


def test_a_split_that_the_data_does_not_bring(file, tiny_folder):
    with pytest.raises(EvaluationError, match="no validation images"):
        saccade.evaluate(file, data=tiny_folder, split="validation")


def test_on_the_command_line(file, tiny_folder):
    result = CliRunner().invoke(cli, ["evaluate", str(file), "--data", str(tiny_folder)])
    assert result.exit_code == 0, result.output
    assert "test split: 60 images scored" in result.stdout
    assert "written:" not in result.stdout
    assert "does not record which of these images were training images" in result.output
    result = CliRunner().invoke(cli, ["evaluate", str(file), "--data", str(tiny_folder), "--json"])
    assert json.loads(result.stdout)["n"] == 60
