"""Whether a few pictures can be answered without TensorFlow, whose import alone takes seconds."""

from __future__ import annotations

from dataclasses import replace

from saccade.errors import RunError
from saccade.inference.onnx_model import OnnxModel
from saccade.runs.run import LIGHT_MODEL, Run

MOST_PICTURES = 2000
"""TensorFlow takes three seconds to start, and then a millisecond less for each picture of 32x32 with six views."""


def light_model(run: Run) -> OnnxModel | None:
    """The run's `model.onnx`; None where there is none of its present weights, or a damaged one."""
    try:
        contents = run.light_model()
        model = None if contents is None else OnnxModel.open(contents, str(run.path / LIGHT_MODEL))
    except RunError:
        return None
    if model is None:
        return None
    # A run that was renamed or copied is still the run of these weights.
    record = run.model_record()
    return replace(model, record=record) if model.record.model_copy(update={"name": record.name}) == record else None
