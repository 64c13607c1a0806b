"""The repr of public values: short and informative, also for large data."""

from pathlib import Path

import numpy as np
import pytest

import saccade
from saccade.data.dataset import Dataset, Preprocessing, Split, UnreadableImage
from saccade.data.explore import explore
from saccade.inference.predict import Prediction
from saccade.inference.top_k import ClassProbability

MAX_CHARACTERS = 300


@pytest.fixture(scope="module")
def large():
    """A dataset of 20,000 images in 1,000 classes, 500 of them unreadable."""
    n = 20_000
    split = Split(
        store=np.zeros((1, 8, 8, 3), np.uint8),
        rows=np.zeros(n, np.int64),
        labels=np.arange(n) % 1000,
        names=[f"class/{number:06}.jpg" for number in range(n)],
        hashes=[f"{number:032x}" for number in range(n)],
        sizes=np.full((n, 2), 8, np.int32),
        modes=["RGB"] * n,
        formats=["JPEG"] * n,
        duplicate_groups=np.arange(n),
    )
    return Dataset(
        name="large",
        source="/home/someone/large",
        class_names=tuple(f"class {number}" for number in range(1000)),
        splits={"train": split, "test": split.subset(np.arange(300))},
        preprocessing=Preprocessing(8, 8),
        fingerprint="f" * 64,
        unreadable=tuple(UnreadableImage(f"class/{number}.png", "train", "truncated PNG") for number in range(500)),
        notes=("a note that must be read " * 20,),
    )


def test_a_dataset(large):
    printed = repr(large)
    assert len(printed) < MAX_CHARACTERS
    for text in ("Dataset", "large", "1,000 classes", "20,000 train", "300 test", "8x8", "500 unreadable"):
        assert text in printed


def test_a_split(large):
    assert repr(large.splits["train"]) == "<Split: 20,000 images of 8x8 pixels>"


def test_an_exploration(large):
    found = explore(large)
    assert len(repr(found)) < MAX_CHARACTERS
    assert "Exploration" in repr(found)
    assert "large" in repr(found)


def test_a_prediction():
    top = tuple(ClassProbability(f"class {number}", 0.001) for number in range(1000))
    assert repr(Prediction("cat.jpg", top)) == "<Prediction for cat.jpg: class 0 0.1%, class 1 0.1%, class 2 0.1%, ...>"
    assert repr(Prediction("cat.jpg", top[:1], abstained=True)) == "<Prediction for cat.jpg: abstained (class 0 0.1%)>"
    assert (
        repr(Prediction("a.txt", (), unreadable_reason="empty file"))
        == "<Prediction for a.txt: unreadable: empty file>"
    )
    assert len(repr(Prediction("long" * 1000, top))) < MAX_CHARACTERS


def test_a_run_and_a_report(run_copy):
    assert repr(run_copy) == f"<Run {run_copy.path}: recipe folder on tiny, 3 classes>"
    report = saccade.evaluate(run_copy)
    printed = repr(report)
    assert len(printed) < MAX_CHARACTERS + len(str(run_copy.path))
    for text in ("Report", str(Path(run_copy.path)), "test split of tiny", f"{report.accuracy:.2%}", "n = 60"):
        assert text in printed
