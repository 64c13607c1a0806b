"""The records that a run directory holds as JSON, with strict schemas."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from saccade.data.dataset import Dataset, Preprocessing, SplitName
from saccade.recipes import ComputeDtype, NetworkName, Phase
from saccade.runs.schema import SCHEMA_VERSION, SchemaVersion
from saccade.sanitize import counted, printable

_LARGEST_SIDE = 4096
Selection = Literal["none", "other images", "cross-fitted", "same images"]
"""How the images that calibrate a run are related to those that chose its weights; none did in the first case."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _check_preprocessing(preprocessing: Preprocessing) -> None:
    sides = (preprocessing.height, preprocessing.width)
    if not all(1 <= side <= _LARGEST_SIDE for side in sides) or not all(
        0 <= value <= 255 for value in preprocessing.background
    ):
        raise ValueError("the rule's numbers make no sense")


def _check_printable(*texts: str) -> None:
    if not all(text.isprintable() for text in texts):
        raise ValueError("names and notes must be printable")


class DataRecord(_Record):
    """What a run was trained on.

    Attributes:
        schema_version: of all files of the run.
        name: short name of the data.
        source: a name or an absolute path that finds it again.
        fingerprint: of its contents.
        class_names: in the order of the network's outputs.
        preprocessing: how images become arrays; for whatever the run will see.
        num_images: number of images per split, validation held out.
        unreadable: number of images that could not be read.
        notes: what had to be said of the data.
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

    @model_validator(mode="after")
    def _within_reason(self) -> DataRecord:
        _check_preprocessing(self.preprocessing)
        _check_printable(self.name, *self.class_names, *self.notes)
        return self

    @classmethod
    def of(cls, dataset: Dataset, images: dict[SplitName, int]) -> DataRecord:
        """The record of a dataset, with the number of images per split."""
        return cls(
            name=printable(dataset.name),
            source=dataset.source,
            fingerprint=dataset.fingerprint,
            class_names=dataset.class_names,
            preprocessing=dataset.preprocessing,
            num_images=images,
            unreadable=len(dataset.unreadable),
            notes=tuple(map(printable, dataset.notes)),
        )


class Status(_Record):
    """How far a training came.

    Attributes:
        state: "running" until the weights are saved; then "finished", or "interrupted" if the user stopped it or its
            patience ran out before the last epoch ("stopped early").
        epochs: epochs done, the last one perhaps in part.
        kept_epoch: the epoch, counted from 1, after which the kept weights were taken; 0 before there are any.
        peak_memory_mb: the most memory that the training took, in megabytes (10^6 bytes); None before it has ended.
        num_validation_images: that the validation accuracies of the history are of; None before it has ended.
    """

    state: Literal["running", "finished", "stopped early", "interrupted"]
    epochs: int
    kept_epoch: int
    peak_memory_mb: int | None = None
    num_validation_images: int | None = None


class Parent(_Record):
    """The run that another one extends.

    Attributes:
        path: absolute, where it was then.
        fingerprint: of its recipe and its data.
        step: of the checkpoint that was gone on from.
        epochs: that it had done.
    """

    path: str
    fingerprint: str
    step: int
    epochs: int


class WeightsNote(_Record):
    """What a file of weights says of the network that they are of.

    Attributes:
        network: its family.
        preprocessing: how images become arrays.
        final_scale: side at which the network sees them, as a part of theirs.
        tta_views: of an image, that an answer is averaged over.
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
    """Where the network of a transferred run learned first.

    Attributes:
        name: of a run, of a file, or of a network of keras.applications.
        fingerprint: hexadecimal SHA-256 of its weights.
    """

    name: str
    fingerprint: str


class Calibration(_Record):
    """What makes a run's confidence mean something: `training/calibration.py` fits it.

    Attributes:
        temperature: that the network's logits are divided by.
        num_images: that it was fitted on.
        out_of_fold: whether these are training images, each answered by a network that was trained without it.
        selection: how they are related to the images that chose the weights: none did; other images did; of the
            same images each half was answered by weights that the other half chose; or the same images did.
        num_selection_images: that chose the weights, the epoch to stop at or the penalty of a head; 0 where none did.
        log_loss_before: mean log-loss on them without it, in nats.
        log_loss_after: with it.
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
        """These images in words, such as "1,427 validation images"."""
        chosen = {
            "none": "",
            "other images": f" ({self.num_selection_images:,} others chose the weights)",
            "cross-fitted": " (each half answered by weights that the other half chose)",
            "same images": " (which chose the weights as well)",
        }[self.selection]
        kind = "out-of-fold image" if self.out_of_fold else "validation image"
        return f"{counted(self.num_images, kind)}{chosen}"


class ModelRecord(_Record):
    """What turns an image into an answer beside the model itself: goes with every model that leaves a run.

    Attributes:
        schema_version: of this record.
        name: of the run.
        class_names: in the order of the model's outputs.
        preprocessing: how an image of any size becomes the model's input.
        decoding: the same in words.
        scaling: of the pixels, which the model does itself.
        temperature: that the model's logits are divided by, in the model itself.
        tta_views: of an image, that the model averages over, itself.
        data: short name of the data that it was trained on.
        data_fingerprint: of its contents.
        weights: fingerprint of the run's weights and temperature.
        versions: of Saccade, Python and the packages that it was made with.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: str
    class_names: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    preprocessing: Preprocessing
    decoding: str = (
        "turned upright (EXIF), laid over the background where transparent, 8-bit RGB; resized by Pillow's bicubic "
        "filter so that it just covers the size, the center cut out; of 16-bit samples the high byte is kept"
    )
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
    """Where an image stood in a training.

    Attributes:
        split: its part.
        path: its name in the data.
        class_name: its label.
        hash: of its contents, 32 hexadecimal digits.
    """

    split: SplitName
    path: str
    class_name: str = Field(alias="class")
    hash: str = Field(pattern="^[0-9a-f]{32}$")


class Environment(_Record):
    """Where a run was trained.

    Attributes:
        saccade: version of this package.
        python: version.
        packages: versions of the packages that the numbers depend on.
        backend: of Keras.
        system: name and release of the operating system.
        processor: model name.
        cores: usable by the process.
        memory_mb: of the machine, in megabytes (10^6 bytes).
        accelerators: names of the GPUs that the backend sees.
        compute_dtype: what the training computed in; whatever continues it keeps to it.
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


class EpochRecord(_Record):
    """One row of the history; no clock times, so that equal trainings have equal histories.

    Attributes:
        epoch: counted from 1.
        phase: "plain" or "augmented"; "head" where a head was fitted to a transferred network.
        steps: training steps done in this epoch; fewer than a whole epoch's only in an interrupted one.
        learning_rate: during the epoch.
        loss: mean cross-entropy over the training samples, in nats, as they were seen.
        accuracy: on the training samples, as they were seen.
        validation_loss: mean cross-entropy on the validation split after the epoch; None without one.
        validation_accuracy: on the validation split after the epoch; None without one.
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
    """How long an epoch took; apart from the history, which is the same in equal trainings.

    Attributes:
        epoch: counted from 1.
        seconds: validation included.
        images_per_second: training images over these seconds.
    """

    epoch: int
    seconds: float = Field(ge=0)
    images_per_second: float


class EvaluationRecord(BaseModel):
    """What of a `report.json` others build upon.

    Attributes:
        weights: fingerprint of the weights that were evaluated; "" in those of early versions.
        accuracy_without_tta: with one view of each image; None where there is no more than one anyway.
        total: images of the split, those included that could not be read.
        n: images scored.
        accuracy: the part of these that it was right on; None in those of early versions, as its interval.
        accuracy_interval: 95%, of Wilson.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    weights: str = ""
    accuracy_without_tta: float | None
    total: int
    n: int = 0
    accuracy: float | None = None
    accuracy_interval: tuple[float, float] | None = Field(default=None, strict=False)  # JSON has lists alone
