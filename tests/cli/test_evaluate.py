import pytest
from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.errors import DataError, RunError


def evaluate(run, *arguments):
    return CliRunner().invoke(cli, ["evaluate", str(run.path), *map(str, arguments)])


def test_wrong_splits_classes_and_runs_are_errors(tiny_run, tmp_path):
    assert evaluate(tiny_run, "--split", "tset").exit_code == 2
    assert isinstance(evaluate(tiny_run, "--data", "digits").exception, DataError)
    assert isinstance(CliRunner().invoke(cli, ["evaluate", str(tmp_path)]).exception, RunError)


@pytest.mark.parametrize("arguments", [["evaluate"], ["export"], ["export", "run"]])
def test_a_missing_argument_is_reported(arguments):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "Missing" in result.stderr
