import pytest

from saccade.errors import RunError
from saccade.inference.copy_images import copy_by_class
from saccade.inference.predict import Prediction
from saccade.inference.top_k import ClassProbability


def predicted(path, class_name, *, abstained=False):
    return Prediction(str(path), (ClassProbability(class_name, 0.9),), abstained=abstained)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / name for name in ("one/a.jpg", "two/a.jpg", "two/A.jpg", "b.png", "c.png")]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    return paths


def test_images_are_copied_by_class_and_none_is_overwritten(images, tmp_path):
    predictions = [
        predicted(images[0], "cat"),
        predicted(images[1], "cat"),
        predicted(images[2], "cat"),
        predicted(images[3], "dog", abstained=True),
        Prediction(str(images[4]), (), unreadable_reason="truncated PNG"),
    ]
    found = copy_by_class(predictions, ["cat", "dog"], tmp_path / "sorted")
    assert found == {"cat": 3, "unsure": 1}
    assert contents(tmp_path / "sorted") == {
        "cat/a.jpg": "0",
        "cat/a-2.jpg": "1",
        "cat/A-3.jpg": "2",  # folders of some systems do not distinguish A.jpg from a.jpg
        "unsure/b.png": "3",
        ".saccade": "",  # marks a folder that Saccade made
    }
    assert [path.read_text() for path in images] == ["0", "1", "2", "3", "4"]


def test_class_names_that_no_folder_can_have_are_changed(images, tmp_path):
    names = ["..", "a/b", "a:b", "unsure", "A/B"]
    predictions = [predicted(images[number], name) for number, name in enumerate(names)]
    predictions.append(predicted(images[0], "a/b", abstained=True))
    found = copy_by_class(predictions, names, tmp_path / "sorted")
    assert found == {"A_B-3": 1, "a_b": 1, "a_b-2": 1, "class ..": 1, "unsure": 1, "unsure (abstained)": 1}
    assert {path.name for path in (tmp_path / "sorted").iterdir() if path.is_dir()} == set(found)


def test_a_folder_with_files_is_left_as_it_is(images, tmp_path):
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted/mine.txt").write_text("mine")
    with pytest.raises(RunError, match="nothing is overwritten"):
        copy_by_class([predicted(images[0], "cat")], ["cat"], tmp_path / "sorted")
    assert contents(tmp_path / "sorted") == {"mine.txt": "mine"}


def test_all_copies_are_made_or_none(images, tmp_path):
    predictions = [predicted(images[0], "cat"), predicted("digits:test:3", "cat")]
    with pytest.raises(RunError, match="'digits:test:3' is no file that can be copied"):
        copy_by_class(predictions, ["cat"], tmp_path / "sorted")
    assert not (tmp_path / "sorted").exists()
