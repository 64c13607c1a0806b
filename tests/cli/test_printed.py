"""Printed tables, which fit the terminal, and printed commands, which can be copied into a shell."""

import json
import re
import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner
from tests.data.images import class_folder
from tests.evaluation.report.test_recommendations import GOOD, epoch, measured, trained

from saccade.cli.main import cli
from saccade.cli.output import print_table
from saccade.evaluation.report.recommendations import recommend

LONG = "a class of animals " + "that has a very long name " * 7 + "and an end"


def invoke(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_one_long_class_name_does_not_widen_a_table(tmp_path):
    folder = class_folder(tmp_path / "data", classes=(LONG, "dog"), count=5)
    shown = invoke("explore", folder, "--out", tmp_path / "shown")
    assert shown.exit_code == 0, shown.output
    header, *rows = shown.stdout.partition("\n\n")[2].splitlines()[:4]
    assert header.split() == ["class", "train", "test"]
    assert max(map(len, [header, *rows])) <= 100
    assert rows[0].startswith("a class of animals")
    assert re.search(r"…\S*.*and an end +\d+ +\d+$", rows[0])
    as_json = json.loads(invoke("explore", folder, "--json", "--out", tmp_path / "other").stdout)
    assert as_json["class_names"] == [LONG, "dog"]


def test_a_table_fits_the_terminal_and_does_not_shorten_numbers(capsys, monkeypatch):
    rows = [("x" * 90 + str(number), "y" * 150, f"{10**9 + number:,}", "12.5%") for number in range(3)]
    for columns in (60, 100, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        print_table(("name", "another name", "images", "part"), rows)
        lines = capsys.readouterr().out.splitlines()
        assert {len(line) for line in lines[1:]} == {columns}
        for number, line in enumerate(lines[1:]):
            assert line.endswith(f"  {10**9 + number:,}  12.5%")
            assert line.split()[0].endswith(str(number))


def test_the_keys_of_a_recipe_fit_the_terminal():
    shown = invoke("recipes", "fast")
    keys = shown.stdout.partition("\n\n")[2]
    assert "network " in keys
    assert max(map(len, keys.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", ""], "DATA"),
        (["explore", ""], "DATA"),
        (["audit", ""], "DATA"),
        (["tune", "", "--trials", "1"], "DATA"),
        (["learning-curve", ""], "DATA"),
        (["evaluate", ""], "RUN"),
        (["report", ""], "RUN"),
        (["export", "", "--format", "onnx"], "RUN"),
        (["benchmark", ""], "RUN"),
        (["serve", "run", ""], "RUN"),
        (["compare", "run", ""], "RUN"),
        (["predict", "", "image.png"], "RUN"),
        (["predict", "run", "image.png", ""], "IMAGE"),
        (["train", "data", "--out", ""], "--out"),
        (["train", "data", "--out="], "--out"),
        (["train", "--resume", ""], "--resume"),
        (["train", "data", "--from", ""], "--from"),
        (["train", "data", "--fixes", ""], "--fixes"),
        (["evaluate", "run", "--data", ""], "--data"),
        (["serve", "run", "--token-file", ""], "--token-file"),
        (["cache", "--clear", ""], "--clear"),
    ],
)
def test_an_empty_argument_has_exit_code_2(arguments, named, tmp_path, monkeypatch):
    # As after `saccade train "$UNSET"`. The current folder contains data that must not be used.
    monkeypatch.chdir(class_folder(tmp_path / "here"))
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert re.search(rf"{named}\b.* is empty", result.stderr)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["cat", "dog"]


def test_recommended_commands_quote_paths_for_the_shell():
    numbers = replace(
        GOOD, run=trained(path="my runs/a; b", source="/home/me/my photos $1", validation_split=0),
        training_images=(40, 50, 9), calibration=None, unreadable=3,
        metrics=measured({(0, 1): 500, (2, 0): 800}), history=[epoch(n + 1, 0.98, 0.1 * n) for n in range(8)],
    )  # fmt: skip
    commands = [shlex.split(step.command) for step in recommend(numbers) if step.command]
    assert len(commands) >= 4
    assert {words[0] for words in commands} == {"saccade"}
    for words in commands:
        assert "/home/me/my photos $1" in words or "my runs/a; b" in words
