"""What a verb that answers pictures is given: a run, or a model file that was exported."""

from __future__ import annotations

from pathlib import Path

from saccade.inference.onnx_model import OnnxModel
from saccade.runs.run import Run


def open_model(run: Run | OnnxModel | str | Path) -> Run | OnnxModel:
    """A run, or a model file where the path is that of a file.

    Raises:
        RunError: it is neither.
    """
    if isinstance(run, OnnxModel):
        return run
    if not isinstance(run, Run) and Path(run).is_file():
        return OnnxModel.read(Path(run))
    return Run.open(run)
