"""measure_robustness: how a run's accuracy falls as images get worse."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import SPLIT_NAMES, Split, SplitName
from saccade.data.fixes import read_fixes
from saccade.errors import EvaluationError
from saccade.evaluation.evaluate import find_subject
from saccade.evaluation.metrics import wilson_interval
from saccade.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS
from saccade.inference.predictor import Predictor
from saccade.plotting.figure import save_figure
from saccade.progress import counting
from saccade.runs.results import ROBUSTNESS_FILES
from saccade.runs.run import Run

# Pixels of the images that are held at once; in float32, which some corruptions compute in, twelve bytes each.
_PIXELS_AT_ONCE = 1000 * 32 * 32


@dataclass(frozen=True)
class Corrupted:
    """A run's accuracy under one corruption.

    Attributes:
        name: of the corruption.
        what: what its amounts are, in words with their unit.
        amounts: of the strengths 1 to 5.
        accuracies: at the strengths 1 to 5, 0 to 1.
        intervals: 95% Wilson intervals of these.
    """

    name: str
    what: str
    amounts: tuple[float, ...]
    accuracies: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float:
        """The mean accuracy over the strengths."""
        return statistics.fmean(self.accuracies)


@dataclass(frozen=True)
class Robustness:
    """How a run's accuracy falls as images get worse.

    Attributes:
        run: the run directory.
        data_name: short name of the data.
        split: the split that was scored.
        n: images scored, each once as it is and once in each strength of each corruption.
        accuracy: on the images as they are, 0 to 1.
        accuracy_interval: 95% Wilson interval of it.
        corruptions: the accuracy under each.
        notes: sentences that whoever reads the numbers should know.
        files: what was written, absolute paths.
    """

    run: Path
    data_name: str
    split: SplitName
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    corruptions: tuple[Corrupted, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        accuracy = f"accuracy {self.accuracy:.2%}, {self.mean:.2%} over {len(self.corruptions)} corruptions"
        return f"<Robustness of {self.run}, {self.split} split of {self.data_name}: {accuracy}, n = {self.n:,}>"

    @property
    def mean(self) -> float:
        """The mean accuracy over all corruptions and strengths."""
        return statistics.fmean(corrupted.mean for corrupted in self.corruptions)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
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
                    "amount_is": corrupted.what,
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
    data: str | os.PathLike[str] | None = None,
    split: SplitName = "test",
    fixes: str | os.PathLike[str] | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Robustness:
    """Scores a run on images that are made worse in seven ways and five strengths.

    The images are corrupted as the run's rule has made them, at its size. `robustness.json` and `robustness.png` are
    written into the run; their names say so, as those of `evaluate` do, where it was not the run's own test split.

    Args:
        run: a run or its directory.
        data: a name or a path. None: what the run was trained on.
        split: as for `evaluate`.
        fixes: as for `evaluate`.
        strict: fail if an image of the data can't be read.
        progress: whether to show on stderr how far it is.

    Raises:
        RunError: no run there, or a damaged one.
        DataError: the data can't be used.
        EvaluationError: as for `evaluate`.
    """
    run = Run.open(run)
    if split not in SPLIT_NAMES:
        raise EvaluationError(f"there is no split '{split}'", expected=f"one of {', '.join(SPLIT_NAMES)}")
    applied = None if fixes is None else read_fixes(fixes)
    subject = find_subject(run, data, split, fixes=applied, progress=progress)
    if strict:
        subject.dataset.require_all()
    predictor = Predictor.from_run(run)
    plain, correct = count_correct(predictor, subject.images, progress=progress)
    n, mark = len(subject.images), subject.file_suffix
    robustness = Robustness(
        run=run.path.resolve(),
        data_name=subject.dataset.name,
        split=split,
        n=n,
        accuracy=plain / n,
        accuracy_interval=wilson_interval(plain, n),
        corruptions=tuple(
            Corrupted(
                name=corruption.name,
                what=corruption.what,
                amounts=corruption.amounts,
                accuracies=tuple(int(count) / n for count in counts),
                intervals=tuple(wilson_interval(int(count), n) for count in counts),
            )
            for corruption, counts in zip(CORRUPTIONS, correct, strict=True)
        ),
        notes=subject.notes,
        files=tuple(run.path.resolve() / f"{stem}{mark}{suffix}" for stem, suffix in ROBUSTNESS_FILES),
    )
    _write(run, robustness)
    return robustness


def count_correct(predictor: Predictor, images: Split, *, progress: bool = False) -> tuple[int, NDArray[np.int64]]:
    """Counts correct predictions, a bounded number of images in memory at once.

    Args:
        predictor: that answers.
        images: what it is asked; they are read once.
        progress: whether to show on stderr how far it is.

    Returns:
        Correct predictions to the images as they are, and int64 [corruptions, strengths] to the corrupted ones.
    """
    _, height, width, _ = images.store.shape
    step = max(1, _PIXELS_AT_ONCE // (height * width))
    plain, correct = 0, np.zeros((len(CORRUPTIONS), len(STRENGTHS)), np.int64)
    total = len(images) * (1 + correct.size)
    with counting("scoring", total=total, unit="images", shown=progress) as bar:
        for start in range(0, len(images), step):
            chunk = slice(start, start + step)
            taken, labels, rows = images.take(chunk), images.labels[chunk], images.rows[chunk]
            plain += _count_correct(predictor, taken, labels)
            bar.update(len(labels))
            for place in np.ndindex(correct.shape):
                corrupted = CORRUPTIONS[place[0]](taken, STRENGTHS[place[1]], rows)
                correct[place] += _count_correct(predictor, corrupted, labels)
                bar.update(len(labels))
    return plain, correct


def _count_correct(predictor: Predictor, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> int:
    return int((predictor.probabilities(images).argmax(axis=1) == labels).sum())


def _write(run: Run, robustness: Robustness) -> None:
    from saccade.evaluation.robustness.robustness_plots import draw_robustness

    numbers, plot = (path.name for path in robustness.files)
    run.write_json(numbers, robustness.to_dict())
    with run.place(plot) as path:
        save_figure(draw_robustness(robustness), path)
