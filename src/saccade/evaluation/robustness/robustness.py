"""Robustness: accuracy of a run on corrupted images."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, SplitName, slices_of
from saccade.data.fixes import read_fixes
from saccade.data.load import Data
from saccade.evaluation.evaluate import load_evaluation_split
from saccade.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS
from saccade.evaluation.wilson_interval import wilson_interval
from saccade.inference.predictor import Predictor
from saccade.plotting.figure import save_figure
from saccade.plotting.robustness_plots import draw_robustness
from saccade.progress import counting
from saccade.runs.results import ROBUSTNESS_FILES
from saccade.runs.run import Run
from saccade.runs.run_split import require_split_name
from saccade.sanitize import printable

# Maximum number of pixels in memory at once. Some corruptions compute in float32, with twelve bytes per pixel.
_PIXELS_AT_ONCE = 1000 * 32 * 32


@dataclass(frozen=True)
class CorruptionAccuracy:
    """Accuracy of a run under one corruption.

    Attributes:
        name: name of the corruption.
        unit: meaning and unit of the amounts, in words.
        amounts: amounts of the strengths 1 to 5.
        accuracies: accuracies at the strengths 1 to 5, 0 to 1.
        intervals: 95% Wilson intervals of the accuracies.
    """

    name: str
    unit: str
    amounts: tuple[float, ...]
    accuracies: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over the strengths."""
        return statistics.fmean(self.accuracies)


@dataclass(frozen=True)
class Robustness:
    """Result of a robustness measurement.

    Attributes:
        run: run directory.
        data_name: short name of the data.
        split: name of the split.
        n: number of images, each scored unchanged and in every strength of every corruption.
        accuracy: accuracy on the unchanged images, 0 to 1.
        accuracy_interval: 95% Wilson interval of the accuracy.
        corruptions: accuracy under each corruption.
        notes: notes for readers of the numbers.
        files: absolute paths of the written files.
    """

    run: Path
    data_name: str
    split: SplitName
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    corruptions: tuple[CorruptionAccuracy, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        accuracy = f"accuracy {self.accuracy:.2%}, {self.mean:.2%} over {len(self.corruptions)} corruptions"
        return f"<Robustness of {self.run}, {self.split} split of {self.data_name}: {accuracy}, n = {self.n:,}>"

    @property
    def mean(self) -> float:
        """Mean accuracy over all corruptions and strengths."""
        return statistics.fmean(corrupted.mean for corrupted in self.corruptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as values that JSON can represent."""
        return {
            "run": str(self.run),
            "data": self.data_name,
            "split": self.split,
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "mean_corrupted_accuracy": self.mean,
            "corruptions": {
                corrupted.name: {
                    "amount_is": corrupted.unit,
                    "amounts": list(corrupted.amounts),
                    "accuracies": list(corrupted.accuracies),
                    "intervals": [list(interval) for interval in corrupted.intervals],
                    "mean_accuracy": corrupted.mean,
                }
                for corrupted in self.corruptions
            },
            "notes": list(self.notes),
            "files": [str(path) for path in self.files],
        }


def measure_robustness(
    run: Run | str | Path,
    *,
    data: Data | None = None,
    split: SplitName = "test",
    fixes: str | os.PathLike[str] | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Robustness:
    """Measure the accuracy of a run under seven corruptions in five strengths.

    The images are corrupted after the preprocessing of the run, at the run's image size. The files `robustness.json`
    and `robustness.png` are written into the run. For data or a split other than the run's own test split, the file
    names get a suffix, as the files of `evaluate` do.

    Args:
        run: a run or its directory.
        data: a name or a path. None: the data of the training.
        split: as for `evaluate`.
        fixes: as for `evaluate`.
        strict: raise an error if an image of the data can't be read.
        progress: show progress on stderr.

    Raises:
        RunError: the run is missing or damaged.
        DataError: the data can't be used.
        EvaluationError: as for `evaluate`.
    """
    run = Run.open(run)
    require_split_name(split)
    applied = None if fixes is None else read_fixes(fixes)
    run_split = load_evaluation_split(run, data, split, fixes=applied, progress=progress)
    if strict:
        run_split.dataset.require_all()
    predictor = Predictor.from_run(run)
    clean, corrupted = count_correct(predictor, run_split.images, progress=progress)
    n = len(run_split.images)
    robustness = Robustness(
        run=run.path.resolve(),
        data_name=run_split.dataset.name,
        split=split,
        n=n,
        accuracy=clean / n,
        accuracy_interval=wilson_interval(clean, n),
        corruptions=tuple(
            CorruptionAccuracy(
                name=corruption.name,
                unit=corruption.unit,
                amounts=corruption.amounts,
                accuracies=tuple(int(count) / n for count in counts),
                intervals=tuple(wilson_interval(int(count), n) for count in counts),
            )
            for corruption, counts in zip(CORRUPTIONS, corrupted, strict=True)
        ),
        notes=run_split.notes,
        files=tuple(run.path.resolve() / f"{stem}{run_split.file_suffix}{suffix}" for stem, suffix in ROBUSTNESS_FILES),
    )
    _write(run, robustness)
    return robustness


def count_correct(predictor: Predictor, images: Split, *, progress: bool = False) -> tuple[int, NDArray[np.int64]]:
    """Count correct predictions on unchanged and on corrupted images, with bounded memory.

    Args:
        predictor: predictor of the run.
        images: images of the split; each image is read once.
        progress: show progress on stderr.

    Returns:
        Number of correct predictions on the unchanged images, and numbers on the corrupted images, int64
        [corruptions, strengths].
    """
    _, height, width, _ = images.store.shape
    step = max(1, _PIXELS_AT_ONCE // (height * width))
    clean, correct = 0, np.zeros((len(CORRUPTIONS), len(STRENGTHS)), np.int64)
    total = len(images) * (1 + correct.size)
    with counting("scoring", total=total, unit="images", shown=progress) as bar:
        chunks = slices_of(len(images), step)
        for chunk, pixels in zip(chunks, images.batches(chunks), strict=True):
            labels, rows = images.labels[chunk], images.rows[chunk]
            clean += _count_correct(predictor, pixels, labels)
            bar.update(len(labels))
            for kind, strength in np.ndindex(correct.shape):
                corrupted = CORRUPTIONS[kind](pixels, STRENGTHS[strength], rows)
                correct[kind, strength] += _count_correct(predictor, corrupted, labels)
                bar.update(len(labels))
    return clean, correct


def _count_correct(predictor: Predictor, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> int:
    return int((predictor.probabilities(images).argmax(axis=1) == labels).sum())


def _write(run: Run, robustness: Robustness) -> None:
    numbers, plot = (path.name for path in robustness.files)
    run.write_json(numbers, robustness.to_dict())
    name = printable(robustness.data_name)
    figure = draw_robustness(
        f"{name}, {robustness.split}: accuracy on corrupted images (n = {robustness.n:,})",
        [corrupted.name for corrupted in robustness.corruptions],
        np.array([(robustness.accuracy, *corrupted.accuracies) for corrupted in robustness.corruptions]),
        np.array([(robustness.accuracy_interval, *corrupted.intervals) for corrupted in robustness.corruptions]),
    )
    with run.place(plot) as path:
        save_figure(figure, path)
