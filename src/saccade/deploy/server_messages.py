"""What `saccade serve` answers to its page and to `saccade.Client`: JSON by these schemas, which both sides import."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ClassPrediction(_Message):
    """A class and how probable it is."""

    class_name: str
    probability: float


class ImagePrediction(_Message):
    """What is in an image.

    Attributes:
        model: that answered.
        version: of it.
        abstained: whether the most probable class is no answer, because it is not probable enough to keep the promise.
        classes: the most probable first.
    """

    model: str
    version: str
    abstained: bool
    classes: tuple[ClassPrediction, ...]


class OcclusionMap(_Message):
    """Where the network looked.

    Attributes:
        model: that answered.
        version: of it.
        class_name: the most probable class.
        probability: of it.
        change: of that probability when the image is covered with gray around each place of a grid, row by row.
    """

    model: str
    version: str
    class_name: str
    probability: float
    change: tuple[tuple[float, ...], ...]


class TestResult(_Message):
    """Accuracy on the run's own test split, with its 95% interval, and the number of images."""

    __test__ = False  # pytest takes every class of this name for tests

    accuracy: float
    low: float
    high: float
    num_images: int


class ModelInfo(_Message):
    """What is told of a model.

    Attributes:
        name: by which the model is asked for.
        version: 1 at the start, more with each reload.
        class_names: in the order of the model's outputs.
        data: short name of the data that the model was trained on.
        height: of the images that the model sees, in pixels.
        width: of the images that the model sees, in pixels.
        tta_views: of an image, that the model averages over.
        temperature: that the model's logits are divided by.
        target_accuracy: the part of the answers that is to be right; None if no promise was asked for.
        confidence_threshold: the probability below which an answer is "abstained"; None if no promise was asked for.
        recipe: of the run; None for a file.
        calibrated: whether the temperature was fitted; None for a file.
        test: result on the test split; None if the run was not evaluated, or for a file.
        card: text of the model card; None without one.
        weights: fingerprint of the run's weights and temperature.
        versions: of Saccade, Python and the packages that the model was made with.
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    data: str
    height: int
    width: int
    tta_views: int
    temperature: float
    target_accuracy: float | None
    confidence_threshold: float | None
    recipe: str | None
    calibrated: bool | None
    test: TestResult | None
    card: str | None
    weights: str
    versions: dict[str, str]


class ServedModels(_Message):
    """All that is told of the models."""

    models: tuple[ModelInfo, ...]


class Error(_Message):
    """What every request is answered with that is not answered well.

    Attributes:
        error: the reason, in words.
    """

    error: str
