"""Load a run or an exported model file."""

from __future__ import annotations

from pathlib import Path

from saccade.errors import RunError
from saccade.inference.litert_model import FILE_IDENTIFIER, LiteRtModel
from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import OnnxModel
from saccade.machine import memory_bytes
from saccade.runs.run import Run, require_path
from saccade.runs.safe_loading import read_contents
from saccade.sanitize import printable


def load_model(run: Run | ModelFile | str | Path) -> Run | ModelFile:
    """Load a run from a directory, or a model from an ONNX or LiteRT file.

    Raises:
        RunError: the path is neither a run nor a file, or the file can't be read or is not an export of Saccade.
    """
    if isinstance(run, Run | ModelFile):
        return run
    path = require_path(run)
    return _load_file(path) if path.is_file() else Run.open(path)


def _load_file(path: Path) -> ModelFile:
    contents, name = read_contents(path, memory_bytes() // 4), printable(str(path))
    if contents[4:8] == FILE_IDENTIFIER:
        return LiteRtModel.from_bytes(contents, name)
    if path.suffix in (".keras", ".h5"):
        raise RunError(
            f"'{name}' is a file for Keras, which Saccade does not open, because it can contain code",
            expected="a run, or an ONNX or LiteRT file",
            remedy="name the run's directory, or export the run: saccade export RUN --format onnx",
        )
    return OnnxModel.from_bytes(contents, name)
