"""predict: classes of pictures, each reported exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, SplitName
from saccade.data.decode_files import decode_files
from saccade.data.load import load_with_rule
from saccade.data.parts import parts_of
from saccade.data.picture_files import DecodedChunk
from saccade.data.progress import Progress, counting
from saccade.errors import DataError
from saccade.inference.sources import DatasetPicture, find_pictures
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.inference.predictor import Predictor

_FEW_PICTURES = 100  # are done before anybody would look at a progress bar


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability.

    Attributes:
        class_name: of the class.
        probability: 0 to 1.
    """

    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture.

    Attributes:
        name: the path or `DATA:split:index`, as asked.
        top: the most probable classes, most probable first; empty if the picture was refused.
        true_class: the picture's label, for pictures of a dataset.
        refusal: why the picture could not be read, or None.
    """

    name: str
    top: tuple[ClassProbability, ...]
    true_class: str | None = None
    refusal: str | None = None


def predict(
    run: Run | str | Path, pictures: Iterable[str | os.PathLike[str]] | str, *, top: int = 3, progress: bool = False
) -> list[Prediction]:
    """Classifies pictures with a run's network.

    Args:
        run: a run or its directory.
        pictures: files, folders (at any depth), globs, and `DATA:test:0` for a dataset's own picture.
        top: how many classes to give, most probable first.
        progress: whether to show a progress bar on stderr.

    Returns:
        One prediction for each picture named, in the order of the sources. A picture that is named twice is reported
        once; one that can't be read is reported with the reason.

    Raises:
        RunError: the run can't be used.
        DataError: a folder or a glob holds nothing, or a dataset's picture does not exist.
    """
    run = Run.open(run)
    sources = [pictures] if isinstance(pictures, str) else [os.fspath(picture) for picture in pictures]
    asked = find_pictures(sources)
    files = [picture for picture in asked if isinstance(picture, Path)]
    own = [picture for picture in asked if isinstance(picture, DatasetPicture)]
    shown = progress and len(asked) > _FEW_PICTURES
    with closing(decode_files(files, run.rule)) as chunks:
        # Not before: to load TensorFlow takes seconds, in which the workers have begun to decode.
        from saccade.inference.predictor import Predictor

        predictor = Predictor.from_run(run)
        with counting("predicting", total=len(asked), unit="pictures", shown=shown) as bar:
            answers: dict[Path | DatasetPicture, Prediction] = _predict_files(predictor, files, chunks, top, bar)
            answers |= _predict_own(run, predictor, own, top, bar)
    return [answers[picture] for picture in asked]


def _predict_files(
    predictor: Predictor, files: Sequence[Path], chunks: Iterable[DecodedChunk], top: int, bar: Progress
) -> dict[Path | DatasetPicture, Prediction]:
    answers: dict[Path | DatasetPicture, Prediction] = {}
    for chunk in chunks:
        own = files[len(answers) : len(answers) + len(chunk.reasons)]
        readable = np.array([reason is None for reason in chunk.reasons], bool)
        probabilities = iter(predictor.probabilities(chunk.pixels[readable]))
        for file, reason in zip(own, chunk.reasons, strict=True):
            top_classes = () if reason else _best(next(probabilities), predictor.class_names, top)
            answers[file] = Prediction(str(file), top_classes, refusal=reason)
        bar.update(len(own))
    return answers


def _predict_own(
    run: Run, predictor: Predictor, pictures: Sequence[DatasetPicture], top: int, bar: Progress
) -> dict[Path | DatasetPicture, Prediction]:
    names = dict.fromkeys(picture.data for picture in pictures)
    datasets = {data: load_with_rule(data, run.rule) for data in names}
    recipe = run.recipe
    parts = {
        data: parts_of(dataset, validation=recipe.validation, seed=recipe.seed) for data, dataset in datasets.items()
    }
    answers: dict[Path | DatasetPicture, Prediction] = {}
    for picture in pictures:
        split = _split_with(picture, parts[picture.data])
        probabilities = predictor.probabilities(split.take(np.array([picture.index])))[0]
        best = _best(probabilities, predictor.class_names, top)
        truth = datasets[picture.data].class_names[split.labels[picture.index]]
        answers[picture] = Prediction(str(picture), best, true_class=truth)
        bar.update(1)
    return answers


def _split_with(picture: DatasetPicture, parts: Mapping[SplitName, Split]) -> Split:
    split = parts[picture.split]
    if picture.index >= len(split):
        raise DataError(
            f"'{picture}' does not exist",
            expected=f"an index from 0 to {len(split) - 1}" if split else "a split with pictures",
            found=str(picture.index),
        )
    return split


def _best(probabilities: NDArray[np.float32], class_names: Sequence[str], top: int) -> tuple[ClassProbability, ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(ClassProbability(class_names[i], float(probabilities[i])) for i in order)
