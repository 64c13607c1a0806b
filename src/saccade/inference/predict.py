"""predict: classes of images."""

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
from saccade.data.load import load_with_preprocessing
from saccade.errors import DataError, RunError, is_whole_number, number_in_words
from saccade.inference.image_inputs import DatasetImage, FoundImages, find_images
from saccade.inference.load_model import open_model
from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import MOST_IMAGES, light_model
from saccade.inference.selective_prediction import Abstention, abstention_of
from saccade.inference.top_k import ClassProbability, Responder
from saccade.progress import Progress, counting
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split
from saccade.sanitize import printable, shortened

OOD_THRESHOLD = 0.05
"""Less OOD score than this is told: of images like the training data, one in twenty has it."""

_SHOWN_CLASSES = 3  # of a prediction, in its repr
_SHOWN_WIDTH = 40  # characters of a class name there
_FEW_IMAGES = 100  # are done before anybody would look at a progress bar


@dataclass(frozen=True)
class Prediction:
    """What is said of one image.

    Attributes:
        name: the path or `DATA:split:index`, as asked.
        top: the most probable classes, most probable first; empty if the image was refused.
        true_class: the image's label, for images of a dataset.
        unreadable_reason: why the image could not be read, or None.
        abstained: whether the most probable class is no answer, because it is not probable enough to keep the promise.
        ood_score: the part of the run's validation images that are no more like its training images than this
            one, 0 to 1; None if it was not asked for.
    """

    name: str
    top: tuple[ClassProbability, ...]
    true_class: str | None = None
    unreadable_reason: str | None = None
    abstained: bool = False
    ood_score: float | None = None

    def __repr__(self) -> str:
        best = [f"{shortened(one.class_name, _SHOWN_WIDTH)} {one.probability:.1%}" for one in self.top[:_SHOWN_CLASSES]]
        classes = ", ".join([*best, *(["..."] if len(self.top) > _SHOWN_CLASSES else [])])
        text = f"abstained ({classes})" if self.abstained else classes
        if self.unreadable_reason is not None:
            text = f"unreadable: {self.unreadable_reason}"
        return f"<Prediction for {shortened(printable(self.name), 2 * _SHOWN_WIDTH)}: {text}>"

    @property
    def is_ood(self) -> bool:
        """Whether it is unlike the training images, as 5% of images like them seem to be."""
        return self.ood_score is not None and self.ood_score < OOD_THRESHOLD


def predict(
    run: Run | ModelFile | str | Path,
    images: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    top: int = 3,
    abstain: float | Abstention | None = None,
    ood: bool = False,
    progress: bool = False,
) -> list[Prediction]:
    """Classifies images with a run's network, or with an exported ONNX or LiteRT file.

    A few images are answered by ONNX Runtime from the run's `model.onnx`, if it has one of its present weights: that
    starts in a tenth of the time of TensorFlow, and gives the same probabilities to 1e-5.

    Args:
        run: a run or its directory, or an ONNX or LiteRT file that `saccade.export` wrote.
        images: files, folders (at any depth), globs, and `DATA:test:0` for a dataset's own image. Of a folder and a
            glob, what accompanies images, such as labels.csv, is left out, as a training leaves it out.
        top: how many classes to give, most probable first.
        abstain: the part of the answers that is to be right, such as 0.99: what is less probable than that takes, by
            the run's validation images, is marked as abstained. Or what `abstention_of` found for it.
        ood: whether to tell how much like the training images each image is; takes a little longer.
        progress: whether to show a progress bar on stderr.

    Returns:
        As many predictions as images are named, in the order of the sources: of an image that is named twice, two.
        Of one folder or glob, every file is reported once. An image that can't be read is reported with the reason.

    Raises:
        RunError: `top` or `abstain` is no such number; the run can't be used, can't keep that promise, or does not know
            what is familiar.
        DataError: a folder or a glob holds no image, an image is not named by its path, or a dataset's image does
            not exist.
        EvaluationError: a dataset has no images in the split of one that is asked for.
    """
    model = open_model(run)
    found = find_images(images)
    return predict_found(model, found, top=top, abstain=abstain, ood=ood, progress=progress)


def predict_found(
    run: Run | ModelFile,
    found: FoundImages,
    *,
    top: int = 3,
    abstain: float | Abstention | None = None,
    ood: bool = False,
    progress: bool = False,
) -> list[Prediction]:
    """Classifies images that `find_images` found; arguments, result and errors as of `predict`."""
    if not is_whole_number(top) or top < 1:
        raise RunError(
            "so many classes can't be given", expected="top = a whole number of at least 1", found=number_in_words(top)
        )
    if isinstance(run, ModelFile) and (abstain is not None or ood):
        raise RunError(
            "a model file alone can't tell when to say 'abstained', or what is familiar",
            expected="a run, which keeps its answers to its validation images",
            remedy="name the run's directory",
        )
    threshold = 0.0 if abstain is None or isinstance(run, ModelFile) else _threshold(run, abstain)
    asked = found.images
    different = dict.fromkeys(asked)  # an image that is named twice is decoded once
    files = [image for image in different if isinstance(image, Path)]
    own = [image for image in different if isinstance(image, DatasetImage)]
    shown = progress and len(different) > _FEW_IMAGES
    with closing(decode_files(files, run.preprocessing)) as chunks:
        # Not before: to load a runtime takes time, in which the workers have begun to decode.
        respond = _responder(run, len(different), ood, top)
        with counting("predicting", total=len(different), unit="images", shown=shown) as bar:
            predictions: dict[Path | DatasetImage, Prediction] = _predict_files(respond, files, chunks, bar)
            predictions |= _predict_own(run, respond, own, bar)
    return [_marked(predictions[image], threshold) for image in asked]


def _threshold(run: Run, abstain: float | Abstention) -> float:
    return (abstain if isinstance(abstain, Abstention) else abstention_of(run, abstain)).threshold


def _responder(run: Run | ModelFile, images: int, ood: bool, top: int) -> Responder:
    if isinstance(run, ModelFile):
        return Responder(run, None, top)
    light = light_model(run) if images <= MOST_IMAGES and not ood else None
    if light is not None:
        return Responder(light, None, top)
    from saccade.inference.ood_detector import OodDetector
    from saccade.inference.predictor import Predictor

    predictor = Predictor.from_run(run)
    return Responder(predictor, OodDetector(run, predictor) if ood else None, top)


def _marked(prediction: Prediction, threshold: float) -> Prediction:
    abstained = bool(prediction.top) and prediction.top[0].probability < threshold
    return replace(prediction, abstained=True) if abstained else prediction


def _predict_files(
    respond: Responder, files: Sequence[Path], chunks: Iterable[DecodedChunk], bar: Progress
) -> dict[Path | DatasetImage, Prediction]:
    predictions: dict[Path | DatasetImage, Prediction] = {}
    for chunk in chunks:
        own = files[len(predictions) : len(predictions) + len(chunk.reasons)]
        readable = np.array([reason is None for reason in chunk.reasons], bool)
        responses = iter(respond(chunk.pixels[readable]))
        for file, reason in zip(own, chunk.reasons, strict=True):
            if reason:
                predictions[file] = Prediction(str(file), (), unreadable_reason=reason)
            else:
                best, ood_score = next(responses)
                predictions[file] = Prediction(str(file), best, ood_score=ood_score)
        bar.update(len(own))
    return predictions


def _predict_own(
    run: Run | ModelFile, respond: Responder, images: Sequence[DatasetImage], bar: Progress
) -> dict[Path | DatasetImage, Prediction]:
    splits: dict[tuple[str, SplitName], tuple[Dataset, Split | None]] = {}
    predictions: dict[Path | DatasetImage, Prediction] = {}
    for image in images:
        key = image.data, image.split
        if key not in splits:
            splits[key] = _split_of(run, *key)
        dataset, split = splits[key]
        if split is None or image.index >= len(split):
            raise DataError(
                f"'{image}' does not exist",
                expected=f"an index from 0 to {len(split) - 1}" if split else "a split with images",
                found=str(image.index),
            )
        ((best, ood_score),) = respond(split.take(np.array([image.index])))
        truth = dataset.class_names[split.labels[image.index]]
        predictions[image] = Prediction(str(image), best, true_class=truth, ood_score=ood_score)
        bar.update(1)
    return predictions


def _split_of(run: Run | ModelFile, data: str, split: SplitName) -> tuple[Dataset, Split | None]:
    """The data and the images of its split, as the run sees them; a model file knows no split but the data's own."""
    if isinstance(run, ModelFile):
        dataset = load_with_preprocessing(data, run.preprocessing)
        return dataset, dataset.splits.get(split)
    found = load_run_split(run, split, data=data)
    return found.dataset, found.images
