"""A LiteRT file as a classifier. LiteRT verifies a file's structure before it runs it."""

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

MARK = b"TFL3"
"""What stands in a LiteRT file from its fifth byte on."""

METADATA = "metadata.json"
_LARGEST_RECORD = 50_000_000


@dataclass(frozen=True)
class LiteRtModel(ModelFile):
    """A classifier from a LiteRT file.

    Attributes:
        ask: its signature, from pixels to probabilities.
    """

    ask: Callable[..., dict[str, Any]]

    @classmethod
    def open(cls, contents: bytes, name: str) -> LiteRtModel:
        """Opens the contents of a file.

        Args:
            contents: of the file.
            name: of the file, for errors.

        Raises:
            RunError: it is no LiteRT file of Saccade's, or damaged; or LiteRT is not installed.
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
            ask = interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise RunError(f"'{name}' can't be run", found=str(error)[:200]) from None
        found = [list(details["shape_signature"][1:]) for details in (*inputs, *outputs)]
        expected = [[record.preprocessing.height, record.preprocessing.width, 3], [len(record.class_names)]]
        if found != expected:
            raise RunError(
                f"'{name}' is not what its own metadata say",
                expected=str(expected),
                found=f"inputs and outputs {found}",
            )
        return cls(record, ask)

    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of a batch, [n, classes], of pixels float32 [n, height, width, 3]."""
        probabilities: NDArray[np.float32] = self.ask(pixels=pixels)["probabilities"]
        # In eight bits they are steps of 1/256, whose sum is not quite 1.
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), np.float32(1e-6))
        return probabilities


def _metadata(contents: bytes, name: str) -> bytes:
    """What the ZIP archive at the end of the file says."""
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            if archive.getinfo(METADATA).file_size > _LARGEST_RECORD:
                raise RunError(f"the metadata of '{name}' are too large")
            return archive.read(METADATA)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, RuntimeError):
        raise RunError(
            f"'{name}' says nothing of its classes and its images",
            expected="a LiteRT file made by `saccade export --format litert`",
        ) from None
