"""Evaluation of an exported model file."""

import json

import pytest
from click.testing import CliRunner

import saccade
from saccade.cli.main import cli
from saccade.errors import DataError, EvaluationError


@pytest.fixture(scope="module")
def file(tiny_run, tmp_path_factory):
    return saccade.export(tiny_run, format="onnx", out=tmp_path_factory.mktemp("export") / "tiny.onnx").path


def test_a_model_file_has_the_accuracy_of_its_run_and_no_files_are_written(file, tiny_run, tiny_folder):
    before = sorted(file.parent.rglob("*"))
    found, expected = saccade.evaluate(file, data=tiny_folder), saccade.evaluate(tiny_run)
    assert found.accuracy == expected.accuracy
    assert found.log_loss == pytest.approx(expected.log_loss, abs=1e-5)
    assert (found.n, found.split, found.class_names) == (60, "test", tiny_run.class_names)
    assert found.temperature == expected.temperature == tiny_run.temperature
    assert found.files == ()
    assert sorted(file.parent.rglob("*")) == before


def test_data_must_be_named_and_have_the_classes_of_the_model(file):
    with pytest.raises(EvaluationError, match="does not contain the path of its data"):
        saccade.evaluate(file)
    with pytest.raises(DataError, match="classes that the run does not know"):
        saccade.evaluate(file, data="digits")


def test_a_split_that_the_data_does_not_have_is_an_error(file, tiny_folder):
    with pytest.raises(EvaluationError, match="no validation images"):
        saccade.evaluate(file, data=tiny_folder, split="validation")


def test_a_model_file_is_evaluated_on_the_command_line(file, tiny_folder):
    result = CliRunner().invoke(cli, ["evaluate", str(file), "--data", str(tiny_folder)])
    assert result.exit_code == 0, result.output
    assert "test split: 60 images scored" in result.stdout
    assert "written:" not in result.stdout
    assert "does not record which of these images were training images" in result.output
    result = CliRunner().invoke(cli, ["evaluate", str(file), "--data", str(tiny_folder), "--json"])
    assert json.loads(result.stdout)["n"] == 60
