"""JSON schemas of the responses of `saccade serve`, which the server and `saccade.Client` share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from saccade.image_fit import Fit


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ClassPrediction(_Message):
    """A class and its probability, 0 to 1."""

    class_name: str
    probability: float


class ImagePrediction(_Message):
    """The prediction for an image.

    Attributes:
        model: name of the model.
        version: version of the model.
        abstained: whether the confidence is below the threshold for the target accuracy.
        ood_p_value: out-of-distribution p-value, 0 to 1; None where the model has none.
        is_ood: whether the image counts as out of distribution: its OOD p-value is below 0.05.
        classes: top-k classes, most probable first.
    """

    model: str
    version: str
    abstained: bool
    ood_p_value: float | None = None
    is_ood: bool = False
    classes: tuple[ClassPrediction, ...]


class OcclusionMap(_Message):
    """An occlusion map.

    Attributes:
        model: name of the model.
        version: version of the model.
        class_name: most probable class.
        probability: probability of this class, 0 to 1.
        change: change of this probability when a gray patch covers each cell of a grid, [rows][columns].
    """

    model: str
    version: str
    class_name: str
    probability: float
    change: tuple[tuple[float, ...], ...]


class TestResult(_Message):
    """Accuracy on the test split of the run, its 95% interval, and the number of images."""

    __test__ = False  # pytest would collect a class of this name

    accuracy: float
    low: float
    high: float
    num_images: int


class ModelInfo(_Message):
    """Metadata of a model.

    Attributes:
        name: name of the model in request paths.
        version: 1 at the start; each reload adds 1.
        class_names: class names in the order of the model's outputs.
        data: short name of the training data.
        height: height of the input images, in pixels.
        width: width of the input images, in pixels.
        fit: conversion of images of another aspect ratio: the center ("crop"), the whole image with edges of the
            background color ("pad"), or the whole image with another aspect ratio ("squash").
        tta_views: number of views of an image that test-time augmentation averages over; 1 without it.
        temperature: divisor of the logits.
        target_accuracy: target accuracy of the predictions that are not abstained, 0 to 1; None without one.
        confidence_threshold: confidence below which a prediction is abstained, 0 to 1; None without a target accuracy.
        recipe: name of the recipe; None for an ONNX file.
        calibrated: whether the temperature was fitted; None for an ONNX file.
        test: result on the test split; None if the run was not evaluated, and for an ONNX file.
        card: text of the model card; None without a card.
        weights: fingerprint of the run's weights and temperature.
        versions: versions of Saccade, Python and the packages of the training.
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    data: str
    height: int
    width: int
    fit: Fit
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
    """Metadata of all models of a server."""

    models: tuple[ModelInfo, ...]


class Error(_Message):
    """An error response.

    Attributes:
        error: reason, in one sentence.
    """

    error: str
