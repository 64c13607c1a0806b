"""Training and test images of the trials on photographs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from processes import SACCADE, timed

from saccade.data.dataset import Dataset, Split
from saccade.data.load import load


@dataclass(frozen=True)
class TrialData:
    """Data of a trial.

    Attributes:
        folder: folder with the folders "train" and "test", and "validation" where the data has it.
        seed: seed of the training.
        class_names: sorted names of the classes.
        test_groups: duplicate group of each test image, by its path below "test", such as "cat/1.jpg"; the images of a
            group are duplicates or near-duplicates. A group has the same number in every trial on the same data.
    """

    folder: Path
    seed: int
    class_names: tuple[str, ...]
    test_groups: dict[str, int]


def prepare_half(path: Path, number: int, folder: Path) -> TrialData:
    """Prepare a trial that leaves the test split of data alone: one half of the training images tests the other half.

    Args:
        path: folder of photographs.
        number: number of the trial, from 0, which chooses the halves; near-duplicates are in one half.
        folder: folder for the images of both halves.
    """
    dataset = load(path)
    images = Split.joined([split for name, split in dataset.splits.items() if name != "test"])
    return _draw(dataset, images, number, folder / dataset.name, parts=2)


def predicted_probabilities(run: Path, data: TrialData) -> dict[str, list[float]]:
    """Return the probabilities, in the order of the classes, of each test image by its path below "test"."""
    test = data.folder / "test"
    command = [*SACCADE, "predict", str(run), str(test), "--top", str(len(data.class_names)), "--json"]
    probabilities = {}
    for image in json.loads(timed(command).output):
        by_class = {top["class_name"]: top["probability"] for top in image["top"]}
        name = Path(image["name"]).resolve().relative_to(test.resolve()).as_posix()
        probabilities[name] = [by_class[class_name] for class_name in data.class_names]
    return probabilities


def prepare_trial(path: Path, number: int, folder: Path) -> TrialData:
    """Prepare a trial on data: with its own test split, `number` is the seed, and otherwise chooses the test split.

    The chosen test split is a random fifth of the images, near-duplicates on one side; the seed is then 0.

    Args:
        path: folder of photographs.
        number: number of the trial, from 0.
        folder: folder for the images of both splits, if the data has no test split.
    """
    dataset = load(path)
    if not dataset.test_is_made:
        test = dataset.splits["test"]
        names = [Path(name).relative_to("test").as_posix() for name in test.names]
        groups = dict(zip(names, test.duplicate_groups.tolist(), strict=True))
        return TrialData(path, number, dataset.class_names, groups)
    return _draw(dataset, Split.joined(list(dataset.splits.values())), number, folder / dataset.name, parts=5)


def _draw(dataset: Dataset, images: Split, number: int, folder: Path, *, parts: int) -> TrialData:
    """Copy images of a dataset into a train and a test folder, which gets one of `parts` parts of the images."""
    groups = np.unique(images.duplicate_groups)
    chosen = set(np.random.default_rng(number).permutation(groups)[: len(groups) // parts].tolist())
    test_groups = {}
    for name, label, group in zip(images.names, images.labels, images.duplicate_groups.tolist(), strict=True):
        class_name = dataset.class_names[label]
        place = folder / ("test" if group in chosen else "train") / class_name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(dataset.source) / name, place / Path(name).name)
        if group in chosen:
            test_groups[f"{class_name}/{Path(name).name}"] = group
    return TrialData(folder, 0, dataset.class_names, test_groups)
