"""Opens an export the way its user will, and writes down what it says of some pictures.

Run as a file, by `verify`, in a process of its own: FORMAT EXPORT PICTURES.npy ANSWERS.npy. It imports nothing of
Saccade and makes sure that nothing else does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_BATCH = 32


def main() -> None:
    """Writes the export's answers, [n, classes] in its own dtype, to pictures uint8 [n, height, width, 3]."""
    # None makes every import of the name fail: what opens now opens where Saccade is not installed.
    sys.modules["saccade"] = None  # type: ignore[assignment]
    # The expected answers were computed on the processor, and the exporting process may hold all memory of a GPU.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    form, export, pictures, answers = sys.argv[1:]
    asked = np.load(pictures, allow_pickle=False)
    answer = _open_export(form, Path(export))
    parts = [answer(asked[start : start + _BATCH].astype(np.float32)) for start in range(0, len(asked), _BATCH)]
    np.save(answers, np.concatenate(parts), allow_pickle=False)


def _open_export(form: str, path: Path) -> Callable[[Any], Any]:
    """The export as a function from pixels, float32 [n, height, width, 3], to probabilities [n, classes]."""
    if form == "onnx" or form.startswith("litert"):
        # Neither must need what it was made with.
        sys.modules["tensorflow"] = sys.modules["keras"] = None  # type: ignore[assignment]
        return _open_onnx(path) if form == "onnx" else _open_litert(path)
    if form == "savedmodel":
        return _open_saved_model(path)
    import keras

    if form == "weights":
        architecture = path.with_name(path.name.removesuffix(".weights.h5") + ".json")
        model = keras.models.model_from_json(architecture.read_text(encoding="utf-8"))
        model.load_weights(path)
    else:
        model = keras.models.load_model(path, compile=False)
    return lambda pixels: keras.ops.convert_to_numpy(model(pixels, training=False))


def _open_onnx(path: Path) -> Callable[[Any], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["probabilities"], {"pixels": pixels})[0]


def _open_litert(path: Path) -> Callable[[Any], Any]:
    from ai_edge_litert.interpreter import Interpreter

    ask = Interpreter(str(path)).get_signature_runner("serving_default")
    return lambda pixels: ask(pixels=pixels)["probabilities"]


def _open_saved_model(path: Path) -> Callable[[Any], Any]:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(path))

    def answer(pixels: Any) -> Any:
        # Looked up in `loaded` each time, because a signature alone does not keep the model's variables alive.
        serve = loaded.signatures["serving_default"]
        return serve(pixels=tensorflow.constant(pixels))["probabilities"].numpy()

    return answer


if __name__ == "__main__":
    main()
