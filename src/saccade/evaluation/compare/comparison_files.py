"""What a comparison leaves behind: its directory, and the images on which the answers differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import atomic_write, write_json
from saccade.data.dataset import SplitName
from saccade.data.fixes import Fix
from saccade.errors import DataError, EvaluationError, RunError
from saccade.evaluation.compare.comparison import Comparison
from saccade.evaluation.compare.comparison_plots import MOST_IMAGES, draw_comparison, draw_differences
from saccade.evaluation.compare.paired_predictions import PairedPredictions
from saccade.output_folders import numbered, require_free
from saccade.plotting.figure import save_figure
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split
from saccade.sanitize import printable

_HOME = Path("comparisons")


@dataclass(frozen=True, eq=False)
class DifferingImages:
    """The images on which the first two run groups differ, m of them, and some of them in pixels.

    Attributes:
        data_name: short name of the data.
        hashes: m content hashes, hexadecimal.
        names: m names in the data; None where the data could not be loaded, or has no such image any more.
        labels: the true classes, int64 [m].
        probabilities: of either run group, float [m, classes], the mean over its runs.
        shown: places of those to draw, int64, at most `MOST_IMAGES`.
        pixels: of these, uint8 [shown, height, width, 3]; None where the data could not be loaded.
        notes: what must be said of the data, or why it could not be loaded.
    """

    data_name: str
    hashes: tuple[str, ...]
    names: tuple[str | None, ...]
    labels: NDArray[np.int64]
    probabilities: tuple[NDArray[np.floating], NDArray[np.floating]]
    shown: NDArray[np.int64]
    pixels: NDArray[np.uint8] | None
    notes: tuple[str, ...]

    @classmethod
    def find(
        cls,
        run: Run,
        paired: PairedPredictions,
        groups: Sequence[Sequence[int]],
        *,
        data: str | os.PathLike[str] | None,
        split: SplitName,
    ) -> DifferingImages:
        """Finds them, and looks for them in the data that the run was trained on, or in `data`.

        Args:
            run: the first one.
            paired: what all said.
            groups: places of the runs of the first and of the second run group.
            data: as for `compare`.
            split: likewise.
        """
        first, second = (np.mean([paired.probabilities[place] for place in group], axis=0) for group in groups)
        rows = np.flatnonzero(first.argmax(axis=1) != second.argmax(axis=1))
        hashes = tuple(paired.hashes[row] for row in rows)
        labels, probabilities = paired.labels[rows], (first[rows], second[rows])
        try:
            found = load_run_split(run, split, data=data, fixes=fixes_of_comparison(data))
        except (DataError, EvaluationError) as error:
            note = f"the images on which they differ can't be shown: {printable(error.problem)}"
            nothing = np.empty(0, np.int64)
            return cls(run.data_name, hashes, (None,) * len(rows), labels, probabilities, nothing, None, (note,))
        images = found.images
        places = {image: place for place, image in enumerate(images.hashes)}
        names = tuple(images.names[places[image]] if image in places else None for image in hashes)
        there = np.array([image in places for image in hashes], bool)
        shown = _choose(labels, probabilities, there)
        pixels = images.take(np.array([places[hashes[place]] for place in shown], np.int64))
        return cls(found.dataset.name, hashes, names, labels, probabilities, shown, pixels, found.notes)

    def file_names(self) -> tuple[str, ...]:
        """What a comparison with them consists of."""
        return ("comparison.json", "comparison.png") + (() if self.pixels is None else ("differences.png",))


def fixes_of_comparison(data: str | os.PathLike[str] | None) -> tuple[Fix, ...] | None:
    """The fixes with which runs are compared, as `load_run_split` takes them.

    Data that is named is the same for all runs: without fixes. Otherwise each run has its own data and its own fixes.
    """
    return None if data is None else ()


def free_directory(out: str | Path | None) -> Path:
    """The directory that a comparison will be, not made yet: nothing is overwritten.

    Raises:
        RunError: `out` exists already and is not empty.
    """
    require_free(out, RunError, plural="comparisons")
    return next(path for path in numbered(_HOME, "") if not path.exists()) if out is None else Path(out)


def write_comparison(comparison: Comparison, images: DifferingImages, directory: Path) -> None:
    """Writes the directory, whole or not at all.

    Raises:
        RunError: it can't be written, or has appeared meanwhile.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(directory) as folder:
            folder.mkdir()
            write_json(folder / "comparison.json", comparison.to_dict())
            save_figure(draw_comparison(comparison), folder / "comparison.png")
            if images.pixels is not None:
                names = (comparison.groups[0].name, comparison.groups[1].name)
                shown = [comparison.disagreements[place] for place in images.shown]
                figure = draw_differences(images.pixels, shown, names, len(comparison.disagreements))
                save_figure(figure, folder / "differences.png")
    except OSError as error:
        raise RunError(
            f"the comparison can't be written: {error.strerror}", remedy="name another directory with --out"
        ) from None


def _choose(
    labels: NDArray[np.int64],
    probabilities: tuple[NDArray[np.floating], NDArray[np.floating]],
    there: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Up to `MOST_IMAGES`, by turns one that the first and one that the second saw more of the true class in."""
    first, second = (each[np.arange(len(labels)), labels] for each in probabilities)
    places = np.flatnonzero(there)
    gap = (first - second)[places]
    ranked = places[np.argsort(-np.abs(gap), kind="stable")]
    ahead = (first > second)[ranked]
    # The n-th of either side stands in the n-th turn.
    turn = np.where(ahead, np.cumsum(ahead), np.cumsum(~ahead))
    return ranked[np.lexsort((~ahead, turn))][:MOST_IMAGES].astype(np.int64)
