"""Final files of a run: weights, calibration, models, history plot and status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from threading import Timer
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.sample_order import training_subset
from saccade.data.dataset import Split, SplitName
from saccade.errors import SaccadeError
from saccade.models.batched_inference import forward, image_batches
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import build_probability_model
from saccade.models.onnx.to_onnx import INPUT, to_onnx
from saccade.models.ood_statistics import OodStatistics, has_pretrained_features
from saccade.models.temperature_scaling import divide_logits
from saccade.models.weights import assign
from saccade.onnx_session import PROBABILITIES, is_faster_than_tensorflow, open_session
from saccade.runs.environment import peak_memory_mb
from saccade.runs.inference_onnx import write_inference_onnx
from saccade.runs.ood_p_value import OodPValue
from saccade.runs.predictions import VALIDATION_PREDICTIONS, Predictions
from saccade.runs.records import Status
from saccade.runs.run import Run
from saccade.training.calibration import at_temperature, fit_temperature
from saccade.training.fit import Fitted
from saccade.training.progress import Progress
from saccade.training.transfer_learning.pretrained import Weights
from saccade.training.validation_roles import ValidationRoles, validation_roles

if TYPE_CHECKING:
    import keras

# Modules that take a second to load, with their libraries, and that only the end of a training needs.
_NEEDED_AT_THE_END = ("saccade.plotting.history_plots", "scipy.optimize")
# The first step, which traces its graph in Python, comes before.
_SECONDS_BEFORE_LOADING = 4.0


@contextmanager
def loading_meanwhile() -> Iterator[None]:
    """Load in a thread, while the training runs, what `finalize` needs; a shorter training loads it at its end."""

    def load() -> None:
        for name in _NEEDED_AT_THE_END:
            import_module(name)

    timer = Timer(_SECONDS_BEFORE_LOADING, load)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def finalize(run: Run, fitted: Fitted, splits: Mapping[SplitName, Split], progress: Progress) -> None:
    """Write the chosen weights, the calibration, the OOD statistics, the models, the history plot and the status.

    Results of the weights of an interrupted training are removed first. So, even if the process is killed, all results
    in the run belong to the weights in the run. The status is written last.
    """
    if run.remove_results():
        progress.on_results_removed()
    run.write_weights(fitted.weights)
    model = build_probability_model(
        run.recipe, height=run.preprocessing.height, width=run.preprocessing.width, classes=len(run.class_names)
    )
    assign(model, fitted.weights)
    # An interrupted training is saved without delay; it is calibrated when the resumed training ends.
    roles = validation_roles(splits["validation"], run.recipe)
    if roles.calibration and fitted.state != "interrupted":
        _calibrate(run, model, roles, fitted, progress)
        _fit_ood_p_value(run, model, fitted, splits["train"], roles.calibration)
    write_models(run, model, progress, for_onnx=fitted.state != "interrupted")
    from saccade.plotting.history_plots import draw_history

    with run.place("history.png") as path:
        draw_history(fitted.history, path, title=f"{run.data_name}, {run.recipe.name}, seed {run.recipe.seed}")
    run.write_status(
        Status(
            state=fitted.state,
            epochs=len(fitted.history),
            kept_epoch=fitted.kept_epoch,
            peak_memory_mb=peak_memory_mb(),
            num_validation_images=len(roles.selection),
        )
    )


def write_models(run: Run, model: keras.Model, progress: Progress, *, for_onnx: bool = True) -> None:
    """Write the files `model.keras` and `model.onnx` of a run.

    Args:
        run: the run, whose weights and calibration are written already.
        model: probability model of the run, with these weights and at this temperature.
        progress: callbacks; their `on_warning` is called if `model.onnx` can't be written. The run is valid without it.
        for_onnx: whether to write `model.onnx`.
    """
    with run.place("model.keras") as path:
        model.save(path)
    if not for_onnx:
        return
    try:
        write_inference_onnx(run, model)
    except SaccadeError as error:
        progress.on_warning(f"predictions will start slowly, because model.onnx could not be written: {error.problem}")


def _calibrate(run: Run, model: keras.Model, roles: ValidationRoles, fitted: Fitted, progress: Progress) -> None:
    """Fit the temperature, divide the model's logits by the temperature, and write the calibrated predictions."""
    images = roles.calibration
    with progress.on_stage("calibrating", total=len(images), unit="images") as bar:
        predict = _prediction(run, model, fitted, bar.update)
        if roles.second is None:
            probabilities = predict(fitted.weights, images)
        else:
            probabilities = np.empty((len(images), model.output_shape[-1]), np.float32)
            # The predictions for each half come from the weights that the other half chose.
            for weights, mask in zip(fitted.by_half, (roles.second, ~roles.second), strict=True):
                probabilities[mask] = predict(weights, images.subset(np.flatnonzero(mask)))
    chosen = {"selection": roles.relation, "num_selection_images": len(roles.selection) * (roles.relation != "none")}
    calibration = fit_temperature(images.labels, probabilities).model_copy(update=chosen)
    divide_logits(model, calibration.temperature)
    run.write_predictions(
        VALIDATION_PREDICTIONS, Predictions.of(images, at_temperature(probabilities, calibration.temperature))
    )
    run.write_calibration(calibration)


def _prediction(
    run: Run, model: keras.Model, fitted: Fitted, advance: Callable[[int], object]
) -> Callable[[Weights, Split], NDArray[np.float32]]:
    """Return the function from named weights and images to class probabilities, float32 [n, classes].

    Args:
        run: the run.
        model: probability model; its weights are those of `fitted` before and after each call.
        fitted: result of the training.
        advance: function that is called with the number of images of each batch.
    """

    def by_network(weights: Weights, images: Split) -> NDArray[np.float32]:
        assign(model, weights)
        probabilities = _forward(fold_normalization(model), images, advance)
        assign(model, fitted.weights)
        return probabilities

    # What the cache holds of an image does not give the probabilities of a model with test-time augmentation.
    cached = fitted.cached if run.recipe.tta_views == 1 else None
    if cached is None:
        return by_network

    def by_cache(weights: Weights, images: Split) -> NDArray[np.float32]:
        probabilities = cached.probabilities(weights, images)
        advance(len(images))
        return probabilities

    return by_cache


def _forward(model: keras.Model, images: Split, advance: Callable[[int], object]) -> NDArray[np.float32]:
    """Return the outputs of a folded model, float32 [n, classes], by the runtime that is faster for so many images."""
    _, height, width, _ = model.input_shape
    if not is_faster_than_tensorflow(len(images), height, width):
        return forward(model, images, advance)
    try:
        contents = to_onnx(model, {})
    except ValueError:  # a layer without a converter
        return forward(model, images, advance)
    session = open_session(contents)
    outputs = np.empty((len(images), model.output_shape[-1]), np.float32)
    for batch, pixels in image_batches(images, height, width):
        (outputs[batch],) = session.run([PROBABILITIES], {INPUT: pixels.astype(np.float32)})
        advance(len(pixels))
    return outputs


def _fit_ood_p_value(run: Run, model: keras.Model, fitted: Fitted, training: Split, validation: Split) -> None:
    """Fit the OOD p-value to a sample of the training images, calibrate it on validation images, and write it."""
    sample = training.subset(training_subset(len(training), seed=run.recipe.seed))
    if fitted.cached is not None and has_pretrained_features(run.recipe.network):
        of_sample, of_validation = (fitted.cached.features(fitted.weights, images) for images in (sample, validation))
    else:
        statistics = OodStatistics(model, run.recipe.network)
        of_sample, of_validation = (statistics(images) for images in (sample, validation))
    confidences = run.predictions(VALIDATION_PREDICTIONS).probabilities.max(axis=1)
    run.write_ood_statistics(vars(OodPValue.fit(of_sample, of_validation, confidences)))
