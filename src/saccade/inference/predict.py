"""predict: classes of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.image_files import DecodedChunk
from saccade.data.load import load_with_rule
from saccade.data.progress import Progress, counting
from saccade.errors import DataError, RunError, is_whole_number, number_in_words
from saccade.inference.image_inputs import DatasetPicture, FoundImages, find_pictures, image_sources
from saccade.inference.load_model import open_model
from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import MOST_PICTURES, light_model
from saccade.inference.selective_prediction import Abstention, abstention_of
from saccade.inference.top_k import ClassProbability, Responder
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split
from saccade.sanitize import printable, shortened

UNFAMILIAR = 0.05
"""Less familiarity than this is told: of pictures like the training data, one in twenty has it."""

_SHOWN_CLASSES = 3  # of a prediction, in its repr
_SHOWN_WIDTH = 40  # characters of a class name there
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

    def __repr__(self) -> str:
        best = [f"{shortened(one.class_name, _SHOWN_WIDTH)} {one.probability:.1%}" for one in self.top[:_SHOWN_CLASSES]]
        classes = ", ".join([*best, *(["..."] if len(self.top) > _SHOWN_CLASSES else [])])
        said = f"unsure ({classes})" if self.unsure else classes
        if self.refusal is not None:
            said = f"unreadable: {self.refusal}"
        return f"<Prediction for {shortened(printable(self.name), 2 * _SHOWN_WIDTH)}: {said}>"

    @property
    def unfamiliar(self) -> bool:
        """Whether it is unlike the training pictures, as 5% of pictures like them seem to be."""
        return self.familiarity is not None and self.familiarity < UNFAMILIAR


def predict(
    run: Run | ModelFile | str | Path,
    pictures: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    top: int = 3,
    abstain: float | Abstention | None = None,
    familiarity: bool = False,
    progress: bool = False,
) -> list[Prediction]:
    """Classifies pictures with a run's network, or with an exported ONNX or LiteRT file.

    A few pictures are answered by ONNX Runtime from the run's `model.onnx`, if it has one of its present weights: that
    starts in a tenth of the time of TensorFlow, and gives the same probabilities to 1e-5.

    Args:
        run: a run or its directory, or an ONNX or LiteRT file that `saccade.export` wrote.
        pictures: files, folders (at any depth), globs, and `DATA:test:0` for a dataset's own picture. Of a folder and a
            glob, what accompanies pictures, such as labels.csv, is left out, as a training leaves it out.
        top: how many classes to give, most probable first.
        abstain: the part of the answers that is to be right, such as 0.99: what is less probable than that takes, by
            the run's validation pictures, is marked as unsure. Or what `abstention_of` found for it.
        familiarity: whether to tell how much like the training pictures each picture is; takes a little longer.
        progress: whether to show a progress bar on stderr.

    Returns:
        As many predictions as pictures are named, in the order of the sources: of a picture that is named twice, two.
        Of one folder or glob, every file is reported once. A picture that can't be read is reported with the reason.

    Raises:
        RunError: `top` or `abstain` is no such number; the run can't be used, can't keep that promise, or does not know
            what is familiar.
        DataError: a folder or a glob holds no picture, a picture is not named by its path, or a dataset's picture does
            not exist.
        EvaluationError: a dataset has no pictures in the split of one that is asked for.
    """
    model = open_model(run)
    found = find_pictures(image_sources(pictures))
    return predict_found(model, found, top=top, abstain=abstain, familiarity=familiarity, progress=progress)


def predict_found(
    run: Run | ModelFile,
    found: FoundImages,
    *,
    top: int = 3,
    abstain: float | Abstention | None = None,
    familiarity: bool = False,
    progress: bool = False,
) -> list[Prediction]:
    """Classifies images that `find_pictures` found; arguments, result and errors as of `predict`."""
    if not is_whole_number(top) or top < 1:
        raise RunError(
            "so many classes can't be given", expected="top = a whole number of at least 1", found=number_in_words(top)
        )
    if isinstance(run, ModelFile) and (abstain is not None or familiarity):
        raise RunError(
            "a model file alone can't tell when to say 'unsure', or what is familiar",
            expected="a run, which keeps its answers to its validation pictures",
            remedy="name the run's directory",
        )
    threshold = 0.0 if abstain is None or isinstance(run, ModelFile) else _threshold(run, abstain)
    asked = found.images
    different = dict.fromkeys(asked)  # a picture that is named twice is decoded once
    files = [picture for picture in different if isinstance(picture, Path)]
    own = [picture for picture in different if isinstance(picture, DatasetPicture)]
    shown = progress and len(different) > _FEW_PICTURES
    with closing(decode_files(files, run.rule)) as chunks:
        # Not before: to load a runtime takes time, in which the workers have begun to decode.
        respond = _responder(run, len(different), familiarity, top)
        with counting("predicting", total=len(different), unit="pictures", shown=shown) as bar:
            answers: dict[Path | DatasetPicture, Prediction] = _predict_files(respond, files, chunks, bar)
            answers |= _predict_own(run, respond, own, bar)
    return [_marked(answers[picture], threshold) for picture in asked]


def _threshold(run: Run, abstain: float | Abstention) -> float:
    return (abstain if isinstance(abstain, Abstention) else abstention_of(run, abstain)).threshold


def _responder(run: Run | ModelFile, pictures: int, familiarity: bool, top: int) -> Responder:
    if isinstance(run, ModelFile):
        return Responder(run, None, top)
    light = light_model(run) if pictures <= MOST_PICTURES and not familiarity else None
    if light is not None:
        return Responder(light, None, top)
    from saccade.inference.ood_detector import FamiliarityOfRun
    from saccade.inference.predictor import Predictor

    predictor = Predictor.from_run(run)
    return Responder(predictor, FamiliarityOfRun(run, predictor) if familiarity else None, top)


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
    run: Run | ModelFile, respond: Responder, pictures: Sequence[DatasetPicture], bar: Progress
) -> dict[Path | DatasetPicture, Prediction]:
    splits: dict[tuple[str, SplitName], tuple[Dataset, Split | None]] = {}
    answers: dict[Path | DatasetPicture, Prediction] = {}
    for picture in pictures:
        key = picture.data, picture.split
        if key not in splits:
            splits[key] = _split_of(run, *key)
        dataset, split = splits[key]
        if split is None or picture.index >= len(split):
            raise DataError(
                f"'{picture}' does not exist",
                expected=f"an index from 0 to {len(split) - 1}" if split else "a split with pictures",
                found=str(picture.index),
            )
        ((best, familiarity),) = respond(split.take(np.array([picture.index])))
        truth = dataset.class_names[split.labels[picture.index]]
        answers[picture] = Prediction(str(picture), best, true_class=truth, familiarity=familiarity)
        bar.update(1)
    return answers


def _split_of(run: Run | ModelFile, data: str, split: SplitName) -> tuple[Dataset, Split | None]:
    """The data and the images of its split, as the run sees them; a model file knows no split but the data's own."""
    if isinstance(run, ModelFile):
        dataset = load_with_rule(data, run.rule)
        return dataset, dataset.splits.get(split)
    found = load_run_split(run, split, data=data)
    return found.dataset, found.images
