"""What a training leaves in its run once its weights are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.rng import training_subset
from saccade.data.dataset import Split, SplitName
from saccade.errors import SaccadeError
from saccade.models.batched_inference import forward
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import build_probability_model
from saccade.models.ood import EarlyStatistics, OodScore
from saccade.models.temperature_scaling import divide_logits
from saccade.models.weights import assign
from saccade.runs.environment import peak_memory_bytes
from saccade.runs.inference_onnx import write_inference_onnx
from saccade.runs.predictions import VALIDATION_PREDICTIONS, Predictions
from saccade.runs.records import Status
from saccade.runs.run import Run
from saccade.training.calibration import at_temperature, fit_temperature
from saccade.training.fit import Fitted
from saccade.training.history_plots import draw_history
from saccade.training.progress import Progress
from saccade.training.validation_roles import ValidationRoles, validation_roles

if TYPE_CHECKING:
    import keras


def save(run: Run, fitted: Fitted, splits: Mapping[SplitName, Split], progress: Progress) -> None:
    """Writes the kept weights, what calibrates them, the models, the drawing of the history and, last, the status.

    Results of weights that an interrupted training left here go first: whenever the process is killed, results that are
    there are those of the weights that are there.
    """
    if run.remove_results():
        progress.on_results_removed()
    run.write_weights(fitted.weights)
    model = build_probability_model(
        run.recipe, height=run.preprocessing.height, width=run.preprocessing.width, classes=len(run.class_names)
    )
    assign(model, fitted.weights)
    # What was stopped half-way is saved at once, and will be calibrated when it has come to its end.
    roles = validation_roles(splits["validation"], run.recipe)
    if roles.calibration and fitted.state != "interrupted":
        _calibrate(run, model, roles, fitted, progress)
        _fit_ood_score(run, model, splits["train"], roles.calibration)
    write_models(run, model, progress, for_onnx=fitted.state != "interrupted")
    with run.place("history.png") as path:
        draw_history(fitted.history, path, title=f"{run.data_name}, {run.recipe.name}, seed {run.recipe.seed}")
    run.write_status(
        Status(
            state=fitted.state,
            epochs=len(fitted.history),
            kept_epoch=fitted.kept_epoch,
            peak_memory_mb=peak_memory_bytes() // 10**6,
            num_validation_images=len(roles.selection),
        )
    )


def write_models(run: Run, model: keras.Model, progress: Progress, *, for_onnx: bool = True) -> None:
    """Write the model of a run in the forms that it is used in: `model.keras`, and `model.onnx`.

    Args:
        run: with its weights and, where there is one, its calibration.
        model: the probability model of the run, with these weights and at this temperature.
        progress: is warned where `model.onnx` could not be made. The run is whole without it.
        for_onnx: whether to write `model.onnx`.
    """
    with run.place("model.keras") as path:
        model.save(path)
    if not for_onnx:
        return
    try:
        write_inference_onnx(run, model)
    except SaccadeError as error:
        progress.on_warning(f"predictions will start slowly, because model.onnx could not be made: {error.problem}")


def _calibrate(run: Run, model: keras.Model, roles: ValidationRoles, fitted: Fitted, progress: Progress) -> None:
    """Fits the temperature, divides the model's logits by it, and keeps what the model then says."""
    images = roles.calibration
    with progress.on_calibration(len(images)) as bar:
        if roles.second is None:
            probabilities = forward(fold_normalization(model), images.take, len(images), bar.update)
        else:
            probabilities = _cross_fitted(model, images, roles.second, fitted, bar.update)
    chosen = {"selection": roles.relation, "num_selection_images": len(roles.selection) * (roles.relation != "none")}
    calibration = fit_temperature(images.labels, probabilities).model_copy(update=chosen)
    divide_logits(model, calibration.temperature)
    run.write_predictions(
        VALIDATION_PREDICTIONS, Predictions.of(images, at_temperature(probabilities, calibration.temperature))
    )
    run.write_calibration(calibration)


def _cross_fitted(
    model: keras.Model, images: Split, second: NDArray[np.bool_], fitted: Fitted, advance: Callable[[int], object]
) -> NDArray[np.float32]:
    """Probabilities, float32 [n, classes], of each half by the weights that the other half chose.

    Args:
        model: of the kept weights, which it has again afterward.
        images: of both halves.
        second: bool [n], which of them are in the second half.
        fitted: what the training came to.
        advance: is told of the number of images.
    """
    probabilities = np.empty((len(images), model.output_shape[-1]), np.float32)
    for weights, others in zip(fitted.by_half, (second, ~second), strict=True):
        assign(model, weights)
        half = images.subset(np.flatnonzero(others))
        probabilities[others] = forward(fold_normalization(model), half.take, len(half), advance)
    assign(model, fitted.weights)
    return probabilities


def _fit_ood_score(run: Run, model: keras.Model, training: Split, validation: Split) -> None:
    """Learns what is familiar from some of the training images, and ranks it among the validation images."""
    statistics = EarlyStatistics(model)
    some = training.subset(training_subset(len(training), seed=run.recipe.seed))
    confidences = run.predictions(VALIDATION_PREDICTIONS).probabilities.max(axis=1)
    ood_score = OodScore.fit(
        statistics(some.take, len(some)), statistics(validation.take, len(validation)), confidences
    )
    run.write_ood_statistics(vars(ood_score))
