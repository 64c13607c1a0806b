"""`saccade train .`, typed in the folder of the data, whose name has a space; then what the command says is next."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.data.images import class_folder

from saccade.cli.main import cli
from saccade.runs.run import Run


def ask(*words):
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def next_command(result):
    """The words of the command that another one says to type next, as a shell would take them."""
    (line,) = re.findall(r"^next: (.*)$", result.stdout, re.MULTILINE)
    program, *words = shlex.split(line)
    assert program == "saccade"
    return words


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder "my photos" of two classes, which is the current folder, and what the first training in it printed."""
    folder = class_folder(tmp_path_factory.mktemp("home") / "my photos", count=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder, ask("train", ".", "--recipe", "quick", "--epochs", "1")


def test_the_next_command_can_be_copied_into_a_shell(photos):
    folder, trained = photos
    command_name, run = next_command(trained)
    assert command_name == "evaluate"
    assert " " in run
    assert (folder / Path(run) / "recipe.json").is_file()


def test_what_earlier_commands_left_in_the_folder_is_no_class_and_is_named(photos):
    folder, trained = photos
    (folder / "runs" / "notes.txt").write_text("mine")
    explored = ask("explore", ".")
    assert {path.name for path in folder.iterdir()} == {"cat", "dog", "runs", "explore-my-photos"}
    again = ask("train", ".", "--recipe", "quick", "--epochs", "1")
    evaluated = ask(*next_command(again))
    assert "note: left out: the folder runs, which Saccade made" in explored.stderr
    for later in (again, evaluated):
        assert "note: left out: the folders explore-my-photos, runs, which Saccade made" in later.stderr
    assert again.stderr.count("note: left out") == 1  # before the training, and not once more after it
    runs = [Run.open(folder / next_command(result)[1]) for result in (trained, again)]
    assert runs[0].path != runs[1].path
    assert [run.class_names for run in runs] == [("cat", "dog")] * 2
    assert runs[0].data.fingerprint == runs[1].data.fingerprint
    assert runs[0].data.num_images == runs[1].data.num_images
