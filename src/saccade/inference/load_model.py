"""What a command that answers images is given: a run, or a model file that was exported."""

from __future__ import annotations

from pathlib import Path

from saccade.errors import RunError
from saccade.inference.litert_model import MARK, LiteRtModel
from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import OnnxModel
from saccade.machine import memory_bytes
from saccade.runs.run import Run, require_path
from saccade.runs.safe_loading import read_contents
from saccade.sanitize import printable


def open_model(run: Run | ModelFile | str | Path) -> Run | ModelFile:
    """A run, or a model file where the path is that of a file.

    Raises:
        RunError: it is neither, or a file that can't be read or is no export of Saccade's.
    """
    if isinstance(run, ModelFile):
        return run
    if isinstance(run, Run):
        return run
    path = require_path(run)
    return _open_file(path) if path.is_file() else Run.open(path)


def _open_file(path: Path) -> ModelFile:
    contents, name = read_contents(path, memory_bytes() // 4), printable(str(path))
    if contents[4:8] == MARK:
        return LiteRtModel.open(contents, name)
    if path.suffix in (".keras", ".h5"):
        raise RunError(
            f"'{name}' is a file for Keras, which Saccade does not open: it could make Keras run anything",
            expected="a run, or an ONNX or LiteRT file",
            remedy="name the run's directory, or export it: saccade export RUN --format onnx",
        )
    return OnnxModel.open(contents, name)
