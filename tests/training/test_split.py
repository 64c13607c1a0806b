"""A run records the split of each image, and another training can reuse these splits."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.data.splits import splits_of
from saccade.errors import RunError
from saccade.evaluation.evaluate import load_evaluation_split
from saccade.recipes import get_recipe
from saccade.runs.create import create_run


def noise(random):
    return Image.fromarray(random.integers(0, 256, (32, 32, 3)).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Two classes of fifty images each, and no test split."""
    random = np.random.default_rng(0)
    for name in ("left", "right"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(50):
            noise(random).save(tmp_path / "data" / name / f"{number:02}.png")
    return tmp_path / "data"


def splits_in(run):
    rows = csv.DictReader((run.path / "split.csv").read_text().splitlines())
    return {row["path"]: row["split"] for row in rows}


def new_run(folder, out):
    """A run directory as a training creates it, before its first step."""
    dataset, recipe = saccade.load(folder), get_recipe("quick").with_settings({"validation_split": 0.2})
    return create_run(out, dataset, recipe, splits_of(dataset, validation_split=0.2, seed=0), "float32")


def test_a_run_records_the_split_of_each_image(folder, tmp_path):
    run = new_run(folder, tmp_path / "run")
    found = splits_in(run)
    assert len(found) == 100
    for split, count in run.data.num_images.items():
        assert sum(each == split for each in found.values()) == count
    assert set(found) == {f"{name}/{number:02}.png" for name in ("left", "right") for number in range(50)}


def test_images_keep_their_split_when_others_are_added(folder, tmp_path):
    first = new_run(folder, tmp_path / "first")
    random = np.random.default_rng(1)
    for name in ("left", "right"):
        for number in range(50, 75):
            noise(random).save(folder / name / f"{number:02}.png")
        # A duplicate of an image must get the same split.
        shutil.copy(folder / name / "00.png", folder / name / "copy of 00.png")
    settings = {"validation_split": 0.2, "seed": 7}
    second = saccade.train(
        folder, recipe="folder", epochs=1, out=tmp_path / "second", settings=settings, reuse_split=first.path,
        progress=False,
    )  # fmt: skip
    before, after = splits_in(first), splits_in(second)
    assert before.items() <= after.items()
    for name in ("left", "right"):
        assert after[f"{name}/copy of 00.png"] == after[f"{name}/00.png"]
    new = [split for path, split in after.items() if path not in before]
    assert {"train", "validation", "test"} == set(new)


def test_an_evaluation_of_changed_data_scores_no_training_image(folder, tmp_path):
    run = new_run(folder, tmp_path / "run")
    # As if test images had been chosen in another way at the time of the training.
    text = (run.path / "split.csv").read_text()
    exchanged = text.replace("test,left", "spare,left").replace("train,left", "test,left").replace("spare,", "train,")
    (run.path / "split.csv").write_text(exchanged)
    before = splits_in(run)
    random = np.random.default_rng(2)
    for number in range(50, 60):
        noise(random).save(folder / "left" / f"{number:02}.png")
    subject = load_evaluation_split(run, None, "test")
    known = {name: before[name] for name in subject.images.names if name in before}
    assert set(known.values()) == {"test"}
    assert len(known) == sum(split == "test" for split in before.values())
    assert any(note.endswith("has changed since the training") for note in subject.notes)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_identical_files_in_training_and_test_are_reported(folder, tmp_path, split):
    for name in ("left", "right"):
        (folder / "train").mkdir(exist_ok=True)
        shutil.move(folder / name, folder / "train" / name)
        (folder / "test" / name).mkdir(parents=True)
        noise(np.random.default_rng(len(name))).save(folder / "test" / name / "new.png")
    seen = next(name for name, other in splits_in(new_run(folder, tmp_path / "run")).items() if other == split)
    shutil.copy(folder / seen, folder / "test" / "left" / "seen.png")
    notes = load_evaluation_split(new_run(folder, tmp_path / "again"), None, "test").notes
    assert ("test images that were trained on as well, as identical files: 1" in notes) == (split == "train")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text.replace("validation,", "elsewhere,", 1), "split"),
        (lambda text: text[:-20] + "\n", "hash"),
        (lambda text: text.replace("hash", "sha", 1), "hash"),
    ],
)
def test_a_damaged_split_is_an_error_that_names_the_file(folder, tmp_path, damage, found):
    run = new_run(folder, tmp_path / "run")
    text = (run.path / "split.csv").read_text()
    (run.path / "split.csv").write_text(damage(text))
    with pytest.raises(RunError, match=r"split\.csv' is damaged") as caught:
        saccade.train(folder, reuse_split=run.path)
    assert found in str(caught.value.found)
    (run.path / "split.csv").unlink()
    with pytest.raises(RunError, match=r"split\.csv' can't be read"):
        run.split_of()
