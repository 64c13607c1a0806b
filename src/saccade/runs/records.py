"""JSON records of a run directory, with strict schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from saccade.data.dataset import FULL_BITS, Dataset, Preprocessing, SplitName
from saccade.data.reading_options import ReadingOptions
from saccade.image_fit import FIT_DESCRIPTIONS
from saccade.recipes import ComputeDtype, NetworkName, Phase
from saccade.runs.schema import SCHEMA_VERSION, SchemaVersion
from saccade.sanitize import counted, printable
from saccade.tensorflow_kernels import Kernels

_LARGEST_SIDE = 4096
Selection = Literal["none", "other images", "cross-fitted", "same images"]
"""Images that chose the weights of a run, relative to the images that calibrate the run."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _check_preprocessing(preprocessing: Preprocessing) -> None:
    sides = (preprocessing.height, preprocessing.width)
    if not 8 <= preprocessing.sample_bits <= FULL_BITS:
        raise ValueError("the preprocessing has impossible numbers")
    if not all(1 <= side <= _LARGEST_SIDE for side in sides) or not all(
        0 <= value <= 255 for value in preprocessing.background
    ):
        raise ValueError("the preprocessing has impossible numbers")


def _check_printable(*texts: str) -> None:
    if not all(text.isprintable() for text in texts):
        raise ValueError("names and notes must be printable")


class DataRecord(_Record):
    """Training data of a run.

    Attributes:
        schema_version: schema version of all files of the run.
        name: short name of the data.
        source: name or absolute path of the data.
        fingerprint: fingerprint of the contents of the data.
        class_names: class names, in the order of the network's outputs.
        preprocessing: conversion of images to arrays, for training and for every later prediction.
        num_images: number of images per split, validation held out.
        unreadable: number of images that could not be read.
        notes: sentences on the data.
        reading: options with which the data was read.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    source: str
    fingerprint: str
    class_names: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    preprocessing: Preprocessing
    num_images: dict[SplitName, int]
    unreadable: int
    notes: tuple[str, ...]
    reading: ReadingOptions = ReadingOptions()

    @model_validator(mode="after")
    def _within_reason(self) -> DataRecord:
        _check_preprocessing(self.preprocessing)
        _check_printable(self.name, *self.class_names, *self.notes)
        return self

    @classmethod
    def of(cls, dataset: Dataset, images: dict[SplitName, int]) -> DataRecord:
        """Return the record of a dataset, with the number of images per split."""
        return cls(
            name=printable(dataset.name),
            source=dataset.source,
            fingerprint=dataset.fingerprint,
            class_names=dataset.class_names,
            preprocessing=dataset.preprocessing,
            num_images=images,
            unreadable=len(dataset.unreadable),
            notes=tuple(map(printable, dataset.notes)),
            reading=dataset.reading,
        )


class Status(_Record):
    """Status of a training.

    Attributes:
        state: "running" until the weights are saved; then "finished", "interrupted" where the user stopped the
            training, or "stopped early" where its patience ran out before the last epoch.
        epochs: number of epochs, including a partial last one.
        kept_epoch: epoch of the kept weights, counted from 1; 0 before any weights are kept.
        peak_memory_mb: peak memory of the training, in megabytes (10^6 bytes); None before the end of the training, and
            where the system does not measure it.
        num_validation_images: number of images of the validation accuracies in the history; None before the end.
    """

    state: Literal["running", "finished", "stopped early", "interrupted"]
    epochs: int
    kept_epoch: int
    peak_memory_mb: int | None = None
    num_validation_images: int | None = None


class Parent(_Record):
    """The run that another run extends.

    Attributes:
        path: absolute path at the time of the extension.
        fingerprint: fingerprint of its recipe and data.
        step: step of the checkpoint from which the extension starts.
        epochs: number of its finished epochs.
    """

    path: str
    fingerprint: str
    step: int
    epochs: int


class WeightsNote(_Record):
    """Metadata of a file of weights.

    Attributes:
        network: family of the network.
        preprocessing: conversion of images to arrays.
        final_scale: side of the network's input, as a fraction of the side of the images.
        tta_views: number of versions of an image whose predictions are averaged.
    """

    network: NetworkName
    preprocessing: Preprocessing
    final_scale: float = Field(ge=0.25, le=1)
    tta_views: Literal[1, 6]

    @model_validator(mode="after")
    def _within_reason(self) -> WeightsNote:
        _check_preprocessing(self.preprocessing)
        return self


class SourceRecord(_Record):
    """Source of the pretrained weights of a transfer.

    Attributes:
        name: name of a run, of a file, or of a network of keras.applications.
        fingerprint: hexadecimal SHA-256 of the weights.
    """

    name: str
    fingerprint: str


class FeaturesRecord(_Record):
    """Features that the linear head of a run was fitted to.

    Attributes:
        runtime: name and version of the runtime that computed the features.
        fingerprint: hexadecimal SHA-256 of the features of all training images and views.
    """

    runtime: str
    fingerprint: str


class Calibration(_Record):
    """Temperature scaling of a run; `training/calibration.py` fits the temperature.

    Attributes:
        temperature: divisor of the logits.
        num_images: number of images on which the temperature was fitted.
        out_of_fold: whether these are training images, each predicted by a network that was trained without it.
        selection: images that chose the weights: none; other images; the same images, each half predicted with weights
            that the other half chose; or the same images.
        num_selection_images: number of images that chose the weights, the epoch to stop at or the penalty of a head.
        log_loss_before: mean log-loss on these images without the temperature, in nats.
        log_loss_after: mean log-loss on these images with the temperature, in nats.
    """

    temperature: float = Field(ge=0.01, le=100)
    num_images: int = Field(ge=1)
    out_of_fold: bool = False
    selection: Selection = "none"
    num_selection_images: int = Field(default=0, ge=0)
    log_loss_before: float
    log_loss_after: float

    @property
    def fitted_on(self) -> str:
        """Calibration images in words, such as "1,427 validation images"."""
        chosen = {
            "none": "",
            "other images": f" ({self.num_selection_images:,} others chose the weights)",
            "cross-fitted": " (each half predicted with weights that the other half chose)",
            "same images": " (which also chose the weights)",
        }[self.selection]
        kind = "out-of-fold image" if self.out_of_fold else "validation image"
        return f"{counted(self.num_images, kind)}{chosen}"


def decoding_description(preprocessing: Preprocessing) -> str:
    """Return the conversion of an encoded image to an array in words, for people who write their own decoder."""
    return (
        "turned upright (EXIF), colors to sRGB by the color profile, laid over the background where transparent, 8-bit "
        f"RGB; {FIT_DESCRIPTIONS[preprocessing.fit]}; of 16-bit samples the high byte is kept, of gray ones the eight "
        f"highest of the low {preprocessing.sample_bits} bits"
    )


class ModelRecord(_Record):
    """Metadata of an exported model: classes, preprocessing and origin.

    Attributes:
        schema_version: schema version of this record.
        name: name of the run.
        class_names: class names, in the order of the model's outputs.
        preprocessing: conversion of an image of any size to the model's input.
        decoding: the conversion in words, as by `decoding_description`.
        scaling: scaling of the pixels, which is done by the model.
        temperature: divisor of the logits, which is part of the model.
        tta_views: number of versions of an image whose predictions are averaged by the model.
        data: short name of the training data.
        data_fingerprint: fingerprint of the contents of the training data.
        weights: fingerprint of the run's weights and temperature.
        versions: versions of Saccade, Python and packages at the training.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    class_names: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    preprocessing: Preprocessing
    decoding: str
    scaling: str = "none: pixels from 0 to 255 as float32, [n, height, width, 3], red first"
    temperature: float
    tta_views: int
    data: str
    data_fingerprint: str
    weights: str
    versions: dict[str, str]

    @model_validator(mode="after")
    def _within_reason(self) -> ModelRecord:
        _check_preprocessing(self.preprocessing)
        _check_printable(self.name, self.data, *self.class_names)
        return self


class SplitRow(_Record):
    """Split of an image in a training.

    Attributes:
        split: name of the split.
        path: name of the image in the data.
        class_name: label of the image.
        hash: content hash of the image, 32 hexadecimal digits.
    """

    split: SplitName
    path: str
    class_name: str = Field(alias="class")
    hash: str = Field(pattern="^[0-9a-f]{32}$")


class Environment(_Record):
    """Environment of a training.

    Attributes:
        saccade: version of Saccade.
        python: version of Python.
        packages: versions of the packages that affect the numbers.
        backend: backend of Keras.
        system: name and release of the operating system.
        processor: model name of the processor.
        cores: number of cores available to the process.
        memory_mb: memory available to the process, in megabytes (10^6 bytes).
        accelerators: names of the GPUs that the backend finds.
        compute_dtype: dtype of the training, also when the training is resumed or extended.
        kernels: library that computes TensorFlow's convolutions and products; None in runs of versions without it.
        workers: number of workers at the beginning of the training, each with `cores` threads.
    """

    saccade: str
    python: str
    packages: dict[str, str]
    backend: str
    system: str
    processor: str
    cores: int
    memory_mb: int
    accelerators: list[str]
    compute_dtype: ComputeDtype = "float32"
    kernels: Kernels | None = None
    workers: int = Field(default=1, ge=1)


class EpochRecord(_Record):
    """A row of the history, without clock times, so that equal trainings have equal histories.

    Attributes:
        epoch: epoch, counted from 1.
        phase: "plain" or "augmented"; "head" where a head was fitted to a pretrained network.
        steps: number of training steps in this epoch; fewer than in a whole epoch only where it was interrupted.
        learning_rate: learning rate in the epoch.
        loss: mean cross-entropy over the training samples during the epoch, in nats.
        accuracy: accuracy on the training samples during the epoch.
        validation_loss: mean cross-entropy on the validation split after the epoch, in nats; None without a split.
        validation_accuracy: accuracy on the validation split after the epoch; None without a split.
    """

    epoch: int
    phase: Phase
    steps: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None


class EpochTiming(_Record):
    """Clock time of an epoch, apart from the history, which is equal in equal trainings.

    Attributes:
        epoch: epoch, counted from 1.
        seconds: duration of the epoch with its validation.
        images_per_second: training images divided by these seconds.
        workers: number of workers.
        exchange_seconds: seconds in which the first worker waited for the gradients of the others, added and sent them.
    """

    epoch: int
    seconds: float = Field(ge=0)
    images_per_second: float
    workers: int = Field(default=1, ge=1)
    exchange_seconds: float = Field(default=0.0, ge=0)


class EvaluationRecord(BaseModel):
    """The fields of a `report.json` that other commands read.

    Attributes:
        weights: fingerprint of the evaluated weights.
        accuracy_without_tta: accuracy without test-time augmentation; None where the run has no test-time augmentation.
        total: number of images in the split, with the unreadable images.
        n: number of evaluated images.
        accuracy: accuracy on the evaluated images, 0 to 1.
        accuracy_interval: 95% Wilson interval of the accuracy.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    weights: str
    accuracy_without_tta: float | None
    total: int
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float] = Field(strict=False)  # JSON has no tuples
