"""Note on classes with at most two training images."""

import shutil

import pytest

from saccade.data.explore import explore
from saccade.data.load import load
from saccade.data.small_classes import small_class_notes


@pytest.fixture
def data(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "data")


def keep(data, name, count):
    for path in sorted((data / "train" / name).iterdir())[count:]:
        path.unlink()


def test_classes_with_one_or_two_training_images_are_named(data):
    assert small_class_notes(load(data)) == ()
    keep(data, "null", 3)
    assert small_class_notes(load(data)) == ()
    keep(data, "null", 2)
    keep(data, "two", 1)
    (note,) = small_class_notes(load(data))
    assert note.startswith("2 classes have at most two training images: 'null' (2), 'two' (1); a network hardly learns")
    assert note.endswith("add images, about 12 of each class, or remove the classes")
    assert explore(data).notes == (note,)


def test_ten_classes_are_named_and_the_others_are_counted(data, tiny_folder):
    for number in range(12):
        for split in ("train", "test"):
            (data / split / f"new{number:02}").mkdir()
            shutil.copy(tiny_folder / "test/one/40.png", data / split / f"new{number:02}" / f"{number}.png")
    (note,) = small_class_notes(load(data))
    assert note.startswith("12 classes have at most two training images: 'new00' (1), ")
    assert "'new09' (1) and 2 more; " in note
    assert "new10" not in note
