"""predict: classes of pictures, each reported exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saccade.data.dataset import Split, SplitName
from saccade.data.decode_files import decode_files
from saccade.data.load import load_with_rule
from saccade.data.parts import parts_of
from saccade.data.picture_files import DecodedChunk
from saccade.data.progress import Progress, counting
from saccade.errors import DataError
from saccade.inference.abstention import Abstention, abstention_of
from saccade.inference.class_probability import ClassProbability
from saccade.inference.sources import DatasetPicture, find_pictures
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.inference.respond import Responder

UNFAMILIAR = 0.05
"""Less familiarity than this is told: of pictures like the training data, one in twenty has it."""

_FEW_PICTURES = 100  # are done before anybody would look at a progress bar


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture.

    Attributes:
        name: the path or `DATA:split:index`, as asked.
        top: the most probable classes, most probable first; empty if the picture was refused.
        true_class: the picture's label, for pictures of a dataset.
        refusal: why the picture could not be read, or None.
        unsure: whether the most probable class is no answer, because it is not probable enough to keep the promise.
        familiarity: the part of the run's validation pictures that are no more like its training pictures than this
            one, 0 to 1; None if it was not asked for.
    """

    name: str
    top: tuple[ClassProbability, ...]
    true_class: str | None = None
    refusal: str | None = None
    unsure: bool = False
    familiarity: float | None = None

    @property
    def unfamiliar(self) -> bool:
        """Whether it is unlike the training pictures, as 5% of pictures like them seem to be."""
        return self.familiarity is not None and self.familiarity < UNFAMILIAR


def predict(
    run: Run | str | Path,
    pictures: Iterable[str | os.PathLike[str]] | str,
    *,
    top: int = 3,
    abstain: float | Abstention | None = None,
    familiarity: bool = False,
    progress: bool = False,
) -> list[Prediction]:
    """Classifies pictures with a run's network.

    Args:
        run: a run or its directory.
        pictures: files, folders (at any depth), globs, and `DATA:test:0` for a dataset's own picture.
        top: how many classes to give, most probable first.
        abstain: the part of the answers that is to be right, such as 0.99: what is less probable than that takes, by
            the run's validation pictures, is marked as unsure. Or what `abstention_of` found for it.
        familiarity: whether to tell how much like the training pictures each picture is; takes a little longer.
        progress: whether to show a progress bar on stderr.

    Returns:
        One prediction for each picture named, in the order of the sources. A picture that is named twice is reported
        once; one that can't be read is reported with the reason.

    Raises:
        RunError: the run can't be used, can't keep that promise, or does not know what is familiar.
        DataError: a folder or a glob holds nothing, or a dataset's picture does not exist.
    """
    run = Run.open(run)
    promise = abstain if abstain is None or isinstance(abstain, Abstention) else abstention_of(run, abstain)
    threshold = 0.0 if promise is None else promise.threshold
    sources = [pictures] if isinstance(pictures, str) else [os.fspath(picture) for picture in pictures]
    asked = find_pictures(sources)
    files = [picture for picture in asked if isinstance(picture, Path)]
    own = [picture for picture in asked if isinstance(picture, DatasetPicture)]
    shown = progress and len(asked) > _FEW_PICTURES
    with closing(decode_files(files, run.rule)) as chunks:
        # Not before: to load TensorFlow takes seconds, in which the workers have begun to decode.
        from saccade.inference.predictor import Predictor
        from saccade.inference.respond import FamiliarityOfRun, Responder

        predictor = Predictor.from_run(run)
        respond = Responder(predictor, FamiliarityOfRun(run, predictor) if familiarity else None, top)
        with counting("predicting", total=len(asked), unit="pictures", shown=shown) as bar:
            answers: dict[Path | DatasetPicture, Prediction] = _predict_files(respond, files, chunks, bar)
            answers |= _predict_own(run, respond, own, bar)
    return [_marked(answers[picture], threshold) for picture in asked]


def _marked(prediction: Prediction, threshold: float) -> Prediction:
    unsure = bool(prediction.top) and prediction.top[0].probability < threshold
    return replace(prediction, unsure=True) if unsure else prediction


def _predict_files(
    respond: Responder, files: Sequence[Path], chunks: Iterable[DecodedChunk], bar: Progress
) -> dict[Path | DatasetPicture, Prediction]:
    answers: dict[Path | DatasetPicture, Prediction] = {}
    for chunk in chunks:
        own = files[len(answers) : len(answers) + len(chunk.reasons)]
        readable = np.array([reason is None for reason in chunk.reasons], bool)
        responses = iter(respond(chunk.pixels[readable]))
        for file, reason in zip(own, chunk.reasons, strict=True):
            if reason:
                answers[file] = Prediction(str(file), (), refusal=reason)
            else:
                best, familiarity = next(responses)
                answers[file] = Prediction(str(file), best, familiarity=familiarity)
        bar.update(len(own))
    return answers


def _predict_own(
    run: Run, respond: Responder, pictures: Sequence[DatasetPicture], bar: Progress
) -> dict[Path | DatasetPicture, Prediction]:
    names = dict.fromkeys(picture.data for picture in pictures)
    # Of the run's own data, the pictures are those that it was trained on.
    fixes = {run.data_source: run.fixes()}
    datasets = {data: load_with_rule(data, run.rule, fixes=fixes.get(data, ())) for data in names}
    recipe, earlier = run.recipe, run.split_of()
    parts = {
        data: parts_of(dataset, validation=recipe.validation, seed=recipe.seed, earlier=earlier)
        for data, dataset in datasets.items()
    }
    answers: dict[Path | DatasetPicture, Prediction] = {}
    for picture in pictures:
        split = _split_with(picture, parts[picture.data])
        ((best, familiarity),) = respond(split.take(np.array([picture.index])))
        truth = datasets[picture.data].class_names[split.labels[picture.index]]
        answers[picture] = Prediction(str(picture), best, true_class=truth, familiarity=familiarity)
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
