"""Input images of a prediction: the same files that a training uses."""

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
    """Create a folder with images and side files."""
    for name in (*SIDE_FILES, *IMAGES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    return tmp_path / "photos"


def names_in(folder, source):
    """Return the paths of the images of a source, relative to the folder."""
    return [os.path.relpath(str(path), folder) for path in find_images([source]).images]


def test_a_folder_yields_the_files_that_training_uses(photos):
    shutil.copytree(photos, photos.parent / "classes" / "one")
    shutil.copytree(photos, photos.parent / "classes" / "two")
    taken = image_folder.find_images(photos.parent / "classes").images

    assert names_in(photos, photos) == [found.path.removeprefix("one/") for found in taken if found.label == 0]
    assert names_in(photos, photos) == sorted(IMAGES)
    assert find_images([photos]).notes == ("left out: 4 files, no images by name (.csv, .json, .txt, no suffix)",)


@pytest.mark.parametrize("pattern", ["**", "**/*", "*"])
def test_a_glob_yields_each_image_once_and_no_side_file(photos, pattern):
    assert names_in(photos, str(photos / pattern)) == sorted(IMAGES)
    assert find_images([str(photos / pattern)]).notes[0].startswith("left out: ")


def test_a_source_without_images_is_an_error_with_the_other_files(photos, tmp_path):
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


def test_side_files_are_a_note_on_the_command_line(tiny_run, tiny_folder, photos):
    for name in IMAGES:
        shutil.copy(tiny_folder / "test" / "one" / "40.png", photos / name)
    result = CliRunner().invoke(cli, ["predict", str(tiny_run.path), str(photos)])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == len(IMAGES)
    assert "note: left out: 4 files, no images by name" in result.stderr

    named = CliRunner().invoke(cli, ["predict", str(tiny_run.path), str(photos / "notes.txt")])
    assert named.exit_code == 1
    assert f"{photos / 'notes.txt'}: unreadable: " in named.stdout
