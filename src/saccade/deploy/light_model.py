"""The run's own model.onnx: what `predict` answers a few pictures from, without waiting for TensorFlow."""

from __future__ import annotations

from saccade.deploy.verify import agreement, check_for
from saccade.errors import RunError
from saccade.inference.onnx_model import NOTE, OnnxModel
from saccade.inference.predictor import Predictor
from saccade.models.to_onnx import to_onnx
from saccade.runs.run import LIGHT_MODEL, Run


def write_light_model(run: Run) -> float:
    """Writes `model.onnx` into a run, over an older one, once it has given the run's classes and probabilities.

    Returns:
        The largest difference between its probabilities and the run's, on the run's validation pictures.

    Raises:
        RunError: the run has no weights, or the file can't be written.
        ExportError: it does not agree. The run is left as it was.
    """
    predictor = Predictor.from_run(run)
    contents = to_onnx(predictor.folded, {NOTE: run.model_record().model_dump_json()})
    check = check_for(run, predictor)
    answers = OnnxModel.open(contents, LIGHT_MODEL).probabilities(check.pictures)
    difference, _ = agreement("onnx", answers, check)
    try:
        with run.place(LIGHT_MODEL) as path:
            path.write_bytes(contents)
    except OSError as error:
        raise RunError(f"'{LIGHT_MODEL}' can't be written into '{run.path}': {error.strerror}") from None
    return difference
