"""What a training leaves in its run once its weights are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from saccade.data.dataset import Split, SplitName
from saccade.errors import SaccadeError
from saccade.models.build import build_probability_model
from saccade.models.familiarity import EarlyStatistics, Familiarity
from saccade.models.folding import fold_normalization
from saccade.models.forward import forward
from saccade.models.temperature import divide_logits
from saccade.models.weights import assign
from saccade.pipeline.order import first_look
from saccade.runs.answers import VALIDATION_ANSWERS, Answers
from saccade.runs.environment import peak_memory_bytes
from saccade.runs.inference_onnx import write_inference_onnx
from saccade.runs.records import Status
from saccade.runs.run import Run
from saccade.training.calibration import at_temperature, fit_temperature
from saccade.training.fit import Fitted
from saccade.training.history_drawing import draw_history
from saccade.training.progress import Progress

if TYPE_CHECKING:
    import keras


def save(run: Run, fitted: Fitted, parts: Mapping[SplitName, Split], progress: Progress) -> None:
    """Writes the kept weights, what calibrates them, the models, the drawing of the history and, last, the status."""
    run.write_weights(fitted.weights)
    model = build_probability_model(
        run.recipe, height=run.rule.height, width=run.rule.width, classes=len(run.class_names)
    )
    assign(model, fitted.weights)
    # What was stopped half-way is saved at once, and will be calibrated when it has come to its end.
    if parts["validation"] and fitted.state != "interrupted":
        _calibrate(run, model, parts["validation"], progress)
        _learn_familiarity(run, model, parts["train"], parts["validation"])
    write_models(run, model, progress, for_onnx=fitted.state != "interrupted")
    with run.place("history.png") as path:
        draw_history(fitted.history, path, title=f"{run.data_name}, {run.recipe.name}, seed {run.recipe.seed}")
    run.write_status(
        Status(
            state=fitted.state,
            epochs=len(fitted.history),
            kept_epoch=fitted.kept_epoch,
            peak_memory_mb=peak_memory_bytes() // 10**6,
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
        progress.warns(f"predictions will start slowly, because model.onnx could not be made: {error.problem}")


def _calibrate(run: Run, model: keras.Model, validation: Split, progress: Progress) -> None:
    """Fits the temperature, divides the model's logits by it, and keeps what the model then says."""
    with progress.calibrating(len(validation)) as bar:
        probabilities = forward(fold_normalization(model), validation.take, len(validation), bar.update)
    calibration = fit_temperature(validation.labels, probabilities)
    divide_logits(model, calibration.temperature)
    run.write_answers(
        VALIDATION_ANSWERS, Answers.of(validation, at_temperature(probabilities, calibration.temperature))
    )
    run.write_calibration(calibration)


def _learn_familiarity(run: Run, model: keras.Model, training: Split, validation: Split) -> None:
    """Learns what is familiar from some of the training pictures, and ranks it among the validation pictures."""
    statistics = EarlyStatistics(model)
    some = training.subset(first_look(len(training), seed=run.recipe.seed))
    confidences = run.answers(VALIDATION_ANSWERS).probabilities.max(axis=1)
    familiarity = Familiarity.fit(
        statistics(some.take, len(some)), statistics(validation.take, len(validation)), confidences
    )
    run.write_familiarity(vars(familiarity))
