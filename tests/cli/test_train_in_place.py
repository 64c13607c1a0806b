"""`saccade train .`, typed in the folder of the data, whose name has a space; then what the command says is next."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.data.pictures import class_folder

from saccade.cli.main import cli


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
    verb, run = next_command(trained)
    assert verb == "evaluate"
    assert " " in run
    assert (folder / Path(run) / "recipe.json").is_file()
