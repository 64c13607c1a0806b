import numpy as np
import pytest
from tests.data.images import class_folder

from saccade.data.dataset import Fix
from saccade.data.fixes import apply_fixes, fixes_text, read_fixes
from saccade.data.load import load
from saccade.errors import DataError

HEADER = "path,split,action,class\n"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "pets"
    class_folder(root / "train", count=4)
    class_folder(root / "test", count=2, start=4)
    return load(root)


def test_fixes_drop_and_relabel_images(dataset):
    fixes = (
        Fix("train/cat/000.png", "train", "drop"),
        Fix("train/cat/001.png", "train", "relabel", "dog"),
        Fix("train/cat/002.png", "train", "keep"),
        Fix("test/dog/005.png", "test", "drop"),
    )
    fixed = apply_fixes(dataset, fixes)
    before, after = dataset.splits["train"], fixed.splits["train"]
    assert list(after.names) == [name for name in before.names if name != "train/cat/000.png"]
    labels = dict(zip(after.names, after.labels, strict=True))
    assert labels["train/cat/001.png"] == 1
    assert labels["train/cat/002.png"] == 0
    np.testing.assert_array_equal(after.take(slice(None)), before.take(np.arange(1, 8)))
    assert list(fixed.splits["test"].names) == ["test/cat/004.png", "test/cat/005.png", "test/dog/004.png"]
    assert before.labels[1] == 0
    assert fixed.notes[-1] == "fixes applied: 2 images dropped, 1 relabeled"


def test_each_change_gives_another_fingerprint(dataset):
    def fingerprint(*fixes):
        return apply_fixes(dataset, fixes).fingerprint

    one, other = Fix("train/cat/000.png", "train", "drop"), Fix("train/cat/001.png", "train", "drop")
    relabeled = Fix("train/cat/000.png", "train", "relabel", "dog")
    assert len({dataset.fingerprint, fingerprint(one), fingerprint(other), fingerprint(relabeled)}) == 4
    assert fingerprint(one, other) == fingerprint(other, one)
    assert fingerprint(Fix("train/cat/000.png", "train", "keep")) == dataset.fingerprint


def test_written_fixes_are_read_back(tmp_path):
    fixes = (Fix('a "b", c.png', "train", "relabel", "x,y"), Fix("ö.png", "validation", "drop"))
    (tmp_path / "fixes.csv").write_text(fixes_text(fixes), encoding="utf-8")
    assert read_fixes(tmp_path / "fixes.csv") == fixes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "line 1 "),
        ("path,action\n", "found: path,action"),
        (HEADER + "a,train,drop\n", "line 2 .*\n.*expected: 4 cells"),
        (HEADER + "a,train,drop,\nb,train,remove,\n", "line 3 .*\n.*keep, relabel, drop\n.*'remove'"),
        (HEADER + "a,tests,drop,\n", "expected: a split"),
        (HEADER + "a,train,relabel,\n", "relabel and the class ''"),
        (HEADER + "a,train,drop,cat\n", "drop and the class 'cat'"),
        (HEADER + "a,train,drop,\na,train,keep,\n", "a again"),
        (HEADER + '"a,train,drop,\n', "can't be read as CSV"),
    ],
)
def test_an_invalid_file_is_an_error_that_names_the_line(text, found, tmp_path):
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_fixes(tmp_path / "fixes.csv")
    import re

    assert re.search(found, str(caught.value))


def test_a_missing_or_binary_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"is no fixes\.csv"):
        read_fixes(tmp_path / "fixes.csv")
    (tmp_path / "fixes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="can't be read"):
        read_fixes(tmp_path / "fixes.csv")


@pytest.mark.parametrize(
    ("fixes", "found"),
    [
        ([Fix("train/cat/9.png", "train", "drop")], "there is no image train/cat/9.png in the train split"),
        ([Fix("train/cat/000.png", "test", "drop")], "there is no image train/cat/000.png in the test split"),
        ([Fix("train/cat/000.png", "validation", "drop")], "has no validation split"),
        ([Fix("train/cat/000.png", "train", "relabel", "cow")], "has no class 'cow'"),
        ([Fix(f"train/cat/00{n}.png", "train", "drop") for n in range(4)], "no image of the class 'cat'"),
        ([Fix(f"test/{name}/00{n}.png", "test", "drop") for name in ("cat", "dog") for n in (4, 5)], "the test split"),
    ],
)
def test_fixes_for_other_data_are_an_error(fixes, found, dataset):
    with pytest.raises(DataError, match=found):
        apply_fixes(dataset, fixes)


def test_fixes_are_not_applied_twice(dataset):
    fixed = apply_fixes(dataset, [Fix("train/cat/000.png", "train", "drop")])
    with pytest.raises(DataError, match="already"):
        apply_fixes(fixed, [Fix("train/cat/001.png", "train", "drop")])
