"""`saccade train .` in the folder of the data, whose name has a space, and the printed next command."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.data.images import class_folder

from saccade.cli.main import cli
from saccade.runs.run import Run


def invoke(*words):
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def next_command(result):
    """Return the words of the printed next command, split as by a shell."""
    (line,) = re.findall(r"^next: (.*)$", result.stdout, re.MULTILINE)
    program, *words = shlex.split(line)
    assert program == "saccade"
    return words


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return the current folder "my photos" with two classes, and the output of the first training in it."""
    folder = class_folder(tmp_path_factory.mktemp("home") / "my photos", count=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder, invoke("train", ".", "--recipe", "quick", "--epochs", "1")


def test_the_next_command_can_be_copied_into_a_shell(photos):
    folder, trained = photos
    command_name, run = next_command(trained)
    assert command_name == "evaluate"
    assert " " in run
    assert (folder / Path(run) / "recipe.json").is_file()


def test_folders_made_by_saccade_are_not_classes_and_are_listed_in_a_note(photos):
    folder, trained = photos
    (folder / "runs" / "notes.txt").write_text("mine")
    explored = invoke("explore", ".")
    assert {path.name for path in folder.iterdir()} == {"cat", "dog", "runs", "explore-my-photos"}
    again = invoke("train", ".", "--recipe", "quick", "--epochs", "1")
    evaluated = invoke(*next_command(again))
    assert "note: left out: the folder runs, which Saccade made" in explored.stderr
    assert "; left out the folders explore-my-photos, runs, which Saccade made" in again.stderr
    assert "note: left out: the folders explore-my-photos, runs, which Saccade made" in evaluated.stderr
    assert again.stderr.count("left out") == 1  # before the training, and not once more after it
    runs = [Run.open(folder / next_command(result)[1]) for result in (trained, again)]
    assert runs[0].path != runs[1].path
    assert [run.class_names for run in runs] == [("cat", "dog")] * 2
    assert runs[0].data.fingerprint == runs[1].data.fingerprint
    assert runs[0].data.num_images == runs[1].data.num_images
