"""Classifier from a LiteRT file. LiteRT verifies the structure of a file before it runs the file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.model_file import ModelFile, read_model_record

FILE_IDENTIFIER = b"TFL3"
"""FlatBuffers file identifier of a LiteRT file: its bytes 4 to 7."""

METADATA = "metadata.json"
_MAX_RECORD_BYTES = 50_000_000


@dataclass(frozen=True)
class LiteRtModel(ModelFile):
    """Classifier from a LiteRT file.

    Attributes:
        signature: signature runner, from pixels to probabilities.
    """

    signature: Callable[..., dict[str, Any]]

    @classmethod
    def from_bytes(cls, contents: bytes, name: str) -> LiteRtModel:
        """Load a model from the contents of a file.

        Args:
            contents: contents of the file.
            name: name of the file, for errors.

        Raises:
            RunError: the file is not a LiteRT file of Saccade or is damaged, or LiteRT is not installed.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise RunError(
                f"'{name}' needs the package ai-edge-litert", remedy="install it: pip install 'saccade[litert]'"
            ) from None
        record = read_model_record(_metadata(contents, name), name)
        try:
            interpreter = Interpreter(model_content=contents)
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
            signature = interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise RunError(f"'{name}' can't be run", found=str(error)[:200]) from None
        found = [list(details["shape_signature"][1:]) for details in (*inputs, *outputs)]
        expected = [[record.preprocessing.height, record.preprocessing.width, 3], [len(record.class_names)]]
        if found != expected:
            raise RunError(
                f"'{name}' does not have the inputs and outputs of its metadata",
                expected=str(expected),
                found=f"inputs and outputs {found}",
            )
        return cls(record, signature)

    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities, [n, classes], of a batch of pixels, float32 [n, height, width, 3]."""
        probabilities: NDArray[np.float32] = self.signature(pixels=pixels)["probabilities"]
        # Eight-bit probabilities are multiples of 1/256, whose sum may differ from 1.
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), np.float32(1e-6))
        return probabilities


def _metadata(contents: bytes, name: str) -> bytes:
    """Read the metadata from the ZIP archive at the end of the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            if archive.getinfo(METADATA).file_size > _MAX_RECORD_BYTES:
                raise RunError(f"the metadata of '{name}' are too large")
            return archive.read(METADATA)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, RuntimeError):
        raise RunError(
            f"'{name}' has no metadata of its classes and preprocessing",
            expected="a LiteRT file made by `saccade export --format litert`",
        ) from None
