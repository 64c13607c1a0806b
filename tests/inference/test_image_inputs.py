"""Which files a prediction is made of: the same ones that a training would take from the folder."""

import os
import shutil

import pytest
from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.data.sources import image_folder
from saccade.errors import DataError
from saccade.inference.image_inputs import find_images

SIDE_FILES = ("labels.csv", "Thumbs.db", "notes.txt", "README", "deeper/desktop.ini", ".DS_Store", "deeper/meta.json")
IMAGES = ("a.png", "deeper/b.JPG", "no-suffix", "odd.xyz")


@pytest.fixture
def photos(tmp_path):
    """A folder as people have them: images, and what lies beside images."""
    for name in (*SIDE_FILES, *IMAGES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    return tmp_path / "photos"


def names_in(folder, source):
    """The paths, relative to the folder, of what a source names."""
    return [os.path.relpath(str(path), folder) for path in find_images([source]).images]


def test_a_folder_gives_the_files_that_training_takes(photos):
    shutil.copytree(photos, photos.parent / "classes" / "one")
    shutil.copytree(photos, photos.parent / "classes" / "two")
    taken = image_folder.find_images(photos.parent / "classes").images

    assert names_in(photos, photos) == [found.path.removeprefix("one/") for found in taken if found.label == 0]
    assert names_in(photos, photos) == sorted(IMAGES)
    assert find_images([photos]).notes == ("left out: 4 files, no images by name (.csv, .json, .txt, no suffix)",)


@pytest.mark.parametrize("pattern", ["**", "**/*", "*"])
def test_a_glob_gives_no_side_files_and_each_image_once(photos, pattern):
    assert names_in(photos, str(photos / pattern)) == sorted(IMAGES)
    assert find_images([str(photos / pattern)]).notes[0].startswith("left out: ")


def test_what_holds_no_image_at_all_is_an_error_that_says_what_is_there(photos, tmp_path):
    for name in IMAGES:
        (photos / name).unlink()
    (tmp_path / "empty").mkdir()
    for source, problem, found in (
        (photos, "no image in the folder", "4 files, no images by name"),
        (photos / "*.csv", "no image matches", "1 file, no images by name"),
        (tmp_path / "empty", "no image in the folder", "no file"),
        (tmp_path / "*.png", "no image matches", "no file"),
    ):
        with pytest.raises(DataError, match=problem) as caught:
            find_images([str(source)])
        assert found in str(caught.value.found)


def test_on_the_command_line_side_files_are_a_note_and_no_failure(tiny_run, tiny_folder, photos):
    for name in IMAGES:
        shutil.copy(tiny_folder / "test" / "one" / "40.png", photos / name)
    result = CliRunner().invoke(cli, ["predict", str(tiny_run.path), str(photos)])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == len(IMAGES)
    assert "note: left out: 4 files, no images by name" in result.stderr

    named = CliRunner().invoke(cli, ["predict", str(tiny_run.path), str(photos / "notes.txt")])
    assert named.exit_code == 1
    assert f"{photos / 'notes.txt'}: unreadable: " in named.stdout
