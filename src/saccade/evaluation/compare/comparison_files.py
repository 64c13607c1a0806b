"""Files of a comparison: the directory, the numbers, the plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from saccade.atomic_io import atomic_write, write_json
from saccade.data.dataset import Fix, SplitName
from saccade.data.load import Data
from saccade.errors import DataError, EvaluationError, RunError
from saccade.evaluation.compare.comparison import Comparison
from saccade.evaluation.compare.paired_predictions import PairedPredictions
from saccade.output_folders import numbered, require_free
from saccade.plotting.comparison_plots import MAX_IMAGES, AccuracyPoint, draw_comparison, draw_disagreements
from saccade.plotting.figure import save_figure
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split
from saccade.sanitize import printable

_HOME = Path("comparisons")


@dataclass(frozen=True, eq=False)
class DisagreementImages:
    """The m images on which the first two run groups disagree, and the pixels of the images to draw.

    Attributes:
        data_name: short name of the data.
        hashes: m content hashes, hexadecimal.
        names: m names in the data; None for an image that is not in the data, or if the data could not be loaded.
        labels: true classes, int64 [m].
        probabilities: mean probabilities of the two run groups, float [m, classes] each.
        drawn: indices of the images to draw, int64 [k], k at most `MAX_IMAGES`.
        pixels: pixels of the images to draw, uint8 [k, height, width, 3]; None if the data could not be loaded.
        notes: notes on the data, or the reason why the data could not be loaded.
    """

    data_name: str
    hashes: tuple[str, ...]
    names: tuple[str | None, ...]
    labels: NDArray[np.int64]
    probabilities: tuple[NDArray[np.floating], NDArray[np.floating]]
    drawn: NDArray[np.int64]
    pixels: NDArray[np.uint8] | None
    notes: tuple[str, ...]

    @classmethod
    def find(
        cls,
        run: Run,
        paired: PairedPredictions,
        groups: Sequence[Sequence[int]],
        *,
        data: Data | None,
        split: SplitName,
    ) -> DisagreementImages:
        """Find the images in the predictions and in the data.

        Args:
            run: first run.
            paired: predictions of all runs.
            groups: indices of the runs of the first and of the second run group.
            data: as for `compare`.
            split: as for `compare`.
        """
        first, second = (np.mean([paired.probabilities[index] for index in group], axis=0) for group in groups)
        rows = np.flatnonzero(first.argmax(axis=1) != second.argmax(axis=1))
        hashes = tuple(paired.hashes[row] for row in rows)
        labels, probabilities = paired.labels[rows], (first[rows], second[rows])
        try:
            run_split = load_run_split(run, split, data=data, fixes=fixes_of_comparison(data))
        except (DataError, EvaluationError) as error:
            note = f"the images of the disagreements can't be shown: {printable(error.problem)}"
            none = np.empty(0, np.int64)
            return cls(run.data_name, hashes, (None,) * len(rows), labels, probabilities, none, None, (note,))
        images = run_split.images
        positions = {content: position for position, content in enumerate(images.hashes)}
        names = tuple(images.names[positions[content]] if content in positions else None for content in hashes)
        available = np.array([content in positions for content in hashes], bool)
        drawn = _choose(labels, probabilities, available)
        pixels = images.take(np.array([positions[hashes[index]] for index in drawn], np.int64))
        return cls(run_split.dataset.name, hashes, names, labels, probabilities, drawn, pixels, run_split.notes)

    def file_names(self) -> tuple[str, ...]:
        """Return the names of the files of the comparison."""
        return ("comparison.json", "comparison.png") + (() if self.pixels is None else ("differences.png",))


def fixes_of_comparison(data: Data | None) -> tuple[Fix, ...] | None:
    """Return the fixes of a comparison, as an argument of `load_run_split`.

    Named data is used without fixes, equally for all runs. Otherwise each run has its own data and its own fixes.
    """
    return None if data is None else ()


def free_directory(out: str | Path | None) -> Path:
    """Return the path of the new directory of a comparison; the directory is not created here.

    Raises:
        RunError: `out` exists already and is not empty.
    """
    require_free(out, RunError, plural="comparisons")
    return next(path for path in numbered(_HOME, "") if not path.exists()) if out is None else Path(out)


def write_comparison(comparison: Comparison, images: DisagreementImages, directory: Path) -> None:
    """Write the directory atomically.

    Raises:
        RunError: the directory can't be written, or exists.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(directory) as folder:
            folder.mkdir()
            write_json(folder / "comparison.json", comparison.to_dict())
            save_figure(_comparison_figure(comparison), folder / "comparison.png")
            if images.pixels is not None:
                figure = _disagreements_figure(comparison, images.pixels, images.drawn)
                save_figure(figure, folder / "differences.png")
    except OSError as error:
        raise RunError(
            f"the comparison can't be written: {error.strerror}", remedy="name another directory with --out"
        ) from None


def _comparison_figure(comparison: Comparison) -> Figure:
    title = f"{printable(comparison.data_name)}, {comparison.split}: n = {comparison.n:,}"
    points = [
        AccuracyPoint(
            name=group.name,
            runs=len(group.runs),
            accuracy=group.accuracy,
            interval=group.accuracy_interval,
            minutes=group.minutes,
            weights=group.weights,
        )
        for group in comparison.groups
    ]
    return draw_comparison(title, points)


def _disagreements_figure(comparison: Comparison, pixels: NDArray[np.uint8], drawn: NDArray[np.int64]) -> Figure:
    images = [comparison.disagreements[index] for index in drawn]
    return draw_disagreements(
        pixels,
        [image.true for image in images],
        [(image.first, image.first_probability) for image in images],
        [(image.second, image.second_probability) for image in images],
        names=(comparison.groups[0].name, comparison.groups[1].name),
        total=len(comparison.disagreements),
    )


def _choose(
    labels: NDArray[np.int64],
    probabilities: tuple[NDArray[np.floating], NDArray[np.floating]],
    available: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Choose up to `MAX_IMAGES` images with large differences between the probabilities of the true class.

    Images with a larger probability from the first run group alternate with images with a larger probability from the
    second run group.
    """
    first, second = (each[np.arange(len(labels)), labels] for each in probabilities)
    candidates = np.flatnonzero(available)
    gap = (first - second)[candidates]
    ranked = candidates[np.argsort(-np.abs(gap), kind="stable")]
    first_larger = (first > second)[ranked]
    rank = np.where(first_larger, np.cumsum(first_larger), np.cumsum(~first_larger))
    return ranked[np.lexsort((~first_larger, rank))][:MAX_IMAGES].astype(np.int64)
