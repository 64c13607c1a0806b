"""predict: classify images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.image_files import DecodedChunk
from saccade.data.load import load_with_preprocessing
from saccade.data.sources.memory.encoded_image import EncodedImage
from saccade.errors import DataError, RunError, is_whole_number, number_in_words
from saccade.inference.classifier import load_classifier, load_ood_detector
from saccade.inference.image_inputs import DatasetImage, FoundImages, find_images
from saccade.inference.load_model import load_model
from saccade.inference.model_file import ModelFile
from saccade.inference.selective_prediction import Abstention, fit_abstention
from saccade.inference.top_k import ClassProbability, TopKClassifier
from saccade.progress import Progress, counting
from saccade.runs.ood_p_value import is_ood
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split
from saccade.sanitize import printable, shortened

Images = Any
"""What `predict` takes as images: paths, and images in memory of several kinds, which are checked when read."""

_REPR_CLASSES = 3  # classes in the repr of a prediction
_REPR_WIDTH = 40  # characters of a class name in the repr
_MIN_IMAGES_FOR_BAR = 100  # fewer images take less time than a progress bar would be useful for


@dataclass(frozen=True)
class Prediction:
    """Prediction for an image.

    Attributes:
        name: path of the image, or `DATA:split:index`, as given.
        top: top-k classes, most probable first; empty for an unreadable image.
        true_class: true class of an image of a dataset; None for other images.
        unreadable_reason: reason why the image is unreadable; None for a readable image.
        abstained: whether the confidence is below the threshold for the target accuracy.
        ood_p_value: out-of-distribution p-value, 0 to 1: fraction of the run's validation images that are at least as
            unlike the training images as this image; None unless requested.
    """

    name: str
    top: tuple[ClassProbability, ...]
    true_class: str | None = None
    unreadable_reason: str | None = None
    abstained: bool = False
    ood_p_value: float | None = None

    def __repr__(self) -> str:
        best = [f"{shortened(one.class_name, _REPR_WIDTH)} {one.probability:.1%}" for one in self.top[:_REPR_CLASSES]]
        classes = ", ".join([*best, *(["..."] if len(self.top) > _REPR_CLASSES else [])])
        text = f"abstained ({classes})" if self.abstained else classes
        if self.unreadable_reason is not None:
            text = f"unreadable: {self.unreadable_reason}"
        return f"<Prediction for {shortened(printable(self.name), 2 * _REPR_WIDTH)}: {text}>"

    @property
    def is_ood(self) -> bool:
        """Whether the image counts as out of distribution: its OOD p-value is below 0.05."""
        return self.ood_p_value is not None and is_ood(self.ood_p_value)


def predict(
    run: Run | ModelFile | str | Path,
    images: Images,
    *,
    top: int = 3,
    abstain: float | Abstention | None = None,
    ood: bool = False,
    progress: bool = False,
) -> list[Prediction]:
    """Classify images with a run, or with an exported ONNX or LiteRT file.

    ONNX Runtime runs the run's `model.onnx` where that is faster (`saccade.inference.classifier`).

    Args:
        run: a run or its directory, or an ONNX or LiteRT file that `saccade.export` wrote.
        images: files, folders (at any depth), globs, and `DATA:test:0` for an image of a dataset. Side files of a
            folder or glob, such as labels.csv, are left out, as in a training. Or images in memory: of Pillow, arrays
            of pixels ([height, width], or with 1, 3 or 4 channels; uint8, or floats from 0 to 1 or from 0 to 255), the
            bytes of files, and open files. One of them, a sequence of them, or an array of images.
        top: number of most probable classes per prediction.
        abstain: target accuracy, such as 0.99: a prediction is abstained where its confidence is below the threshold at
            which the predictions for the run's validation images reach this accuracy. Or the result of
            `fit_abstention`. None: no abstention.
        ood: whether to compute out-of-distribution p-values; without pretrained features, this starts TensorFlow.
        progress: whether to show a progress bar on stderr.

    Returns:
        One prediction for each image, in the order of the sources. An image that two sources contain has two
        predictions; each file of one folder or glob has one. The prediction for an unreadable image carries the reason.

    Raises:
        RunError: `top` or `abstain` is out of range, the run can't be used, no threshold reaches the target accuracy,
            or the run has no OOD statistics.
        DataError: a folder or a glob holds no image, something is no image, or an image of a dataset does not exist.
        EvaluationError: a dataset has no images in the split of one of the images.
    """
    model = load_model(run)
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
    """Classify images that `find_images` found; arguments, result and errors as for `predict`."""
    if not is_whole_number(top) or top < 1:
        raise RunError(
            "the number of classes is out of range",
            expected="top = a whole number of at least 1",
            found=number_in_words(top),
        )
    require_supported(run, abstain=abstain, ood=ood)
    threshold = 0.0 if abstain is None or isinstance(run, ModelFile) else _threshold(run, abstain)
    unique = dict.fromkeys(found.images)  # a repeated image is decoded once
    files = [image for image in unique if not isinstance(image, DatasetImage)]
    dataset_images = [image for image in unique if isinstance(image, DatasetImage)]
    show_bar = progress and len(unique) > _MIN_IMAGES_FOR_BAR
    sources = [image.contents if isinstance(image, EncodedImage) else image for image in files]
    with closing(decode_files(sources, run.preprocessing)) as chunks:
        # The workers decode while the runtime loads.
        if ood and not isinstance(run, ModelFile):
            classifier = TopKClassifier(run.class_names, load_ood_detector(run, len(unique)), top)
        else:
            classifier = TopKClassifier(run.class_names, load_classifier(run, len(unique)), top)
        with counting("predicting", total=len(unique), unit="images", shown=show_bar) as bar:
            predictions = _predict_files(classifier, files, chunks, bar)
            predictions |= _predict_dataset_images(run, classifier, dataset_images, bar)
    return [_with_abstention(predictions[image], threshold) for image in found.images]


def require_supported(run: Run | ModelFile, *, abstain: object, ood: bool) -> None:
    """Require a run where abstention or out-of-distribution p-values are asked for.

    Raises:
        RunError: `run` is a model file.
    """
    if isinstance(run, ModelFile) and (abstain is not None or ood):
        raise RunError(
            "a model file alone supports neither abstention nor out-of-distribution p-values",
            expected="a run, which keeps its predictions for its validation images",
            remedy="name the run's directory",
        )


def _threshold(run: Run, abstain: float | Abstention) -> float:
    return (abstain if isinstance(abstain, Abstention) else fit_abstention(run, abstain)).threshold


def _with_abstention(prediction: Prediction, threshold: float) -> Prediction:
    abstained = bool(prediction.top) and prediction.top[0].probability < threshold
    return replace(prediction, abstained=True) if abstained else prediction


def _predict_files(
    classifier: TopKClassifier, files: Sequence[Path | EncodedImage], chunks: Iterable[DecodedChunk], bar: Progress
) -> dict[Path | DatasetImage | EncodedImage, Prediction]:
    predictions: dict[Path | DatasetImage | EncodedImage, Prediction] = {}
    for chunk in chunks:
        chunk_files = files[len(predictions) : len(predictions) + len(chunk.reasons)]
        readable = np.array([reason is None for reason in chunk.reasons], bool)
        top_k = iter(classifier(chunk.pixels[readable]))
        for file, reason in zip(chunk_files, chunk.reasons, strict=True):
            if reason:
                predictions[file] = Prediction(str(file), (), unreadable_reason=reason)
            else:
                classes, ood_p_value = next(top_k)
                predictions[file] = Prediction(str(file), classes, ood_p_value=ood_p_value)
        bar.update(len(chunk_files))
    return predictions


def _predict_dataset_images(
    run: Run | ModelFile, classifier: TopKClassifier, images: Sequence[DatasetImage], bar: Progress
) -> dict[Path | DatasetImage | EncodedImage, Prediction]:
    splits: dict[tuple[str, SplitName], tuple[Dataset, Split | None]] = {}
    predictions: dict[Path | DatasetImage | EncodedImage, Prediction] = {}
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
        ((classes, ood_p_value),) = classifier(split.take(np.array([image.index])))
        true_class = dataset.class_names[split.labels[image.index]]
        predictions[image] = Prediction(str(image), classes, true_class=true_class, ood_p_value=ood_p_value)
        bar.update(1)
    return predictions


def _split_of(run: Run | ModelFile, data: str, split: SplitName) -> tuple[Dataset, Split | None]:
    """Return the dataset and the split of a run; for a model file, the split that the dataset itself defines."""
    if isinstance(run, ModelFile):
        dataset = load_with_preprocessing(data, run.preprocessing)
        return dataset, dataset.splits.get(split)
    run_split = load_run_split(run, split, data=data)
    return run_split.dataset, run_split.images
