import json

import pytest
from click.testing import CliRunner
from tests.tuning.studies import POOR, SEARCH

import saccade
from saccade.cli.main import cli
from saccade.cli.tune import command
from saccade.errors import RecipeError, TuningError


def invoke(*arguments):
    return CliRunner().invoke(cli, ["tune", *map(str, arguments)])


OPTIONS = [
    *("--recipe", "folder", "--epochs", 4, "--set", "validation_split=0.3", "--set", "learning_rate=1e-7"),
    *("--search", "learning_rate=0.0005..0.01", "--search", "batch_size=16,32", "--set", "label_smoothing=0"),
]


@pytest.mark.parametrize(
    "arguments",
    [
        ["digits"],
        ["digits", "--trials", 3, "--minutes", 3],
        ["digits", "--trials", 0],
        ["digits", "--minutes", 0],
        ["--trials", 3],
        ["digits", "--trials", 3, "--search", "learning_rate"],
    ],
)
def test_a_wrong_command_line_has_exit_code_2(arguments):
    assert invoke(*arguments).exit_code == 2


def test_a_wrong_range_is_an_error_before_the_data_is_loaded():
    given = ["no-such-data", "--trials", "3", "--search", "learning_rate=1..2..3"]
    with pytest.raises(RecipeError, match=r"'learning_rate' can't be '2\.\.3'"):
        CliRunner().invoke(command, given, catch_exceptions=False)


def test_the_printed_result_and_the_json(tiny_folder, tmp_path, monkeypatch):
    """The command runs one trial, and the Python function resumes the same study."""
    monkeypatch.chdir(tmp_path)
    result = invoke(tiny_folder, "--trials", 1, *OPTIONS)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "1 trial of folder on tiny, 0 of them pruned"
    assert lines[2] == "no trial has a higher validation accuracy than the unchanged recipe"
    page = tmp_path / "tunings" / "tiny-folder-1" / "tuning.html"
    assert lines[-1] == f"written: {page}"
    assert "trial 0 (the last is 0): folder unchanged" in result.stderr
    found = saccade.tune(tiny_folder, trials=1, recipe=POOR, search=SEARCH, out="tunings/tiny-folder-1", progress=False)
    assert [trial.number for trial in found.trials] == [0]
    output = invoke(tiny_folder, "--trials", 1, *OPTIONS, "--out", "tunings/tiny-folder-1", "--json")
    assert output.exit_code == 0, output.output
    assert json.loads(output.stdout) == json.loads(json.dumps(found.to_dict()))
    with pytest.raises(TuningError, match="is another one"):
        CliRunner().invoke(
            command,
            [str(tiny_folder), "--trials", "1", "--recipe", "folder", "--out", "tunings/tiny-folder-1"],
            catch_exceptions=False,
        )
