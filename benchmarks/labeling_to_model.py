"""From a heap of unlabeled images to a model: `saccade label`, `train`, `predict` and `report`, as a user types them.

    python benchmarks/labeling_to_model.py DATA [--images 500] [--heaps 3] [--results FILE]

DATA is a folder of class folders with a test split. A random part of its training images is put into one flat folder,
under new names. The true labels are kept elsewhere and play the person, who answers what the command asks. The model is
trained on the label file. This program scores the label file against the true labels, and the predictions for DATA's
own test split, which no command above has seen. For comparison another model is trained on the true labels of the same
images.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from processes import SACCADE, Finished, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.data.load import load


@dataclass(frozen=True)
class WholeWay:
    """Measurements on one heap.

    Attributes:
        asked: fraction of the images that the person labeled.
        errors: fraction of wrong labels in the label file, 0 to 1.
        accuracies: accuracy on DATA's test split of the model from the label file, and of that from the true labels.
        minutes: wall-clock minutes of `label`, of `train`, and of `report`.
    """

    asked: float
    errors: float
    accuracies: tuple[float, float]
    minutes: tuple[float, float, float]


def main() -> None:
    """Go the whole way from several heaps; print and save the results."""
    parser = argparse.ArgumentParser(description="From a heap of unlabeled images to a model.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of class folders, with a test split")
    parser.add_argument("--images", type=at_least_one, default=500, help="number of images of a heap")
    parser.add_argument("--heaps", type=at_least_one, default=3, help="number of heaps")
    add_results_option(parser)
    options = parser.parse_args()
    found = []
    for number in range(options.heaps):
        with tempfile.TemporaryDirectory() as folder:
            found.append(whole_way(options.data, options.images, number, Path(folder)))
        print(found[-1], flush=True)
    subject = f"{options.data.name}, {options.images} images"
    values = {
        ("asked", "fraction"): [one.asked for one in found],
        ("wrong labels", "fraction"): [one.errors for one in found],
        ("test accuracy, labels of the promise", "fraction"): [one.accuracies[0] for one in found],
        ("test accuracy, true labels", "fraction"): [one.accuracies[1] for one in found],
        ("label", "min"): [one.minutes[0] for one in found],
        ("train", "min"): [one.minutes[1] for one in found],
        ("report", "min"): [one.minutes[2] for one in found],
    }
    keep_results("labeling_to_model", [Result(subject, *key, each) for key, each in values.items()], options.results)


def whole_way(path: Path, images: int, number: int, folder: Path) -> WholeWay:
    """Label a heap of random training images of the data at a path, and train on it."""
    heap = folder / "heap"
    truth = _make_heap(path, images, number, heap)
    answers, labels = folder / "answers.csv", folder / "labels.csv"
    _write_labels(answers, truth)
    labeled = _saccade("label", heap, "--out", labels, "--answers", answers, "--seed", number, "--json")
    with labels.open(encoding="utf-8", newline="") as stream:
        rows = {row["file_name"]: row["label"] for row in csv.DictReader(stream)}
    wrong = sum(rows.get(f"{heap.name}/{name}") != label for name, label in truth.items())
    trained = _saccade("train", labels, "--seed", number, "--out", folder / "run")
    reported = _saccade("report", folder / "run")
    true_labels = folder / "true.csv"
    _write_labels(true_labels, truth)
    _saccade("train", true_labels, "--root", heap, "--seed", number, "--out", folder / "run-true")
    accuracies = _accuracy(folder / "run", path), _accuracy(folder / "run-true", path)
    asked = json.loads(labeled.output)["num_answered"] / len(truth)
    minutes = labeled.seconds / 60, trained.seconds / 60, reported.seconds / 60
    return WholeWay(asked, wrong / len(truth), accuracies, minutes)


def _saccade(*words: object) -> Finished:
    return timed([*SACCADE, *map(str, words)])


def _make_heap(path: Path, images: int, number: int, heap: Path) -> dict[str, str]:
    """Copy random training images into a flat folder under new names; return the true labels by name."""
    dataset = load(path)
    split = dataset.splits["train"]
    heap.mkdir()
    truth = {}
    for new, position in enumerate(np.random.default_rng(number).permutation(len(split))[:images].tolist()):
        source = Path(dataset.root, split.names[position])
        name = f"IMG_{new:04}{source.suffix}"
        shutil.copy(source, heap / name)
        truth[name] = dataset.class_names[split.labels[position]]
    return truth


def _write_labels(path: Path, truth: Mapping[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "label"), *truth.items()])


def _accuracy(run: Path, path: Path) -> float:
    """Return the accuracy of a run on the images of the data's test folder, whose subfolders are the true classes."""
    predictions = json.loads(_saccade("predict", run, path / "test", "--top", 1, "--json").output)
    return float(np.mean([Path(one["name"]).parent.name == one["top"][0]["class_name"] for one in predictions]))


if __name__ == "__main__":
    run_program(main)
