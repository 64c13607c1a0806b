"""Opens an export the way its user will, and writes down what it says of some images.

Run by `verify` as a file in a process of its own, with one argument, a `Question` as JSON. The process writes the
export's answers, and prints its `Speed` as JSON if it was asked for. This file imports nothing of Saccade and makes
sure that nothing else does; `verify` imports the two messages from here.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

_BATCH = 32
_MANY = 256
_LEAST, _MOST, _SECONDS = 3, 30, 3.0


@dataclass(frozen=True)
class Question:
    """What the process is asked.

    Attributes:
        form: one of `saccade.deploy.formats.FORMATS`.
        export: path of the exported file or directory.
        images: path of a .npy file, uint8 [n, height, width, 3].
        predictions: path of the .npy file to write: the export's probabilities, [n, classes] in the export's own dtype.
        started: when the process was started, in seconds of the monotonic clock, if its speed is asked for.
    """

    form: str
    export: str
    images: str
    predictions: str
    started: float | None


@dataclass(frozen=True)
class Speed:
    """How fast an export is.

    Attributes:
        cold_start_seconds: from the start of the process to its first answer.
        latency_ms: the median of calls with one image, in milliseconds.
        images_per_second: in batches of 32.
        memory_mb: the process's memory at its peak, in megabytes (10^6 bytes).
    """

    cold_start_seconds: float
    latency_ms: float
    images_per_second: float
    memory_mb: float


def main() -> None:
    """Answers the question in the first argument."""
    # None makes every import of the name fail: what opens now opens where Saccade is not installed.
    sys.modules["saccade"] = None  # type: ignore[assignment]
    # Keras imports these if they are there, which takes a third of its time; no export needs them.
    sys.modules.update(dict.fromkeys(("pandas", "matplotlib", "sklearn", "IPython")))  # type: ignore[arg-type]
    # The expected answers were computed on the processor, and the exporting process may hold all memory of a GPU.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    question = Question(**json.loads(sys.argv[1]))
    images = np.load(question.images, allow_pickle=False)
    predict = _open_export(question.form, Path(question.export))
    if question.started is not None:
        sys.stdout.write(json.dumps(asdict(_measure(predict, images, question.started))) + "\n")
    parts = [predict(images[start : start + _BATCH].astype(np.float32)) for start in range(0, len(images), _BATCH)]
    np.save(question.predictions, np.concatenate(parts), allow_pickle=False)


def _measure(predict: Callable[[Any], Any], images: Any, started: float) -> Speed:
    """Measures one image at a time, and batches."""
    one, many = images[:1].astype(np.float32), images[:_MANY].astype(np.float32)
    predict(one)
    cold_start = time.monotonic() - started
    alone = _repeated(predict, one)
    predict(many[:_BATCH])
    together = _repeated(
        lambda pixels: [predict(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)], many
    )
    return Speed(
        cold_start_seconds=cold_start,
        latency_ms=1000 * statistics.median(alone),
        images_per_second=len(many) / statistics.median(together),
        memory_mb=_peak_memory() / 1e6,
    )


def _peak_memory() -> int:
    """Bytes. On Linux `getrusage` would count the memory of the process that started this one."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _repeated(ask: Callable[[Any], Any], pixels: Any) -> list[float]:
    """The seconds of each of several calls: thirty, or fewer where they take long."""
    seconds: list[float] = []
    while len(seconds) < _LEAST or (len(seconds) < _MOST and sum(seconds) < _SECONDS):
        began = time.perf_counter()
        ask(pixels)
        seconds.append(time.perf_counter() - began)
    return seconds


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

    def predict(pixels: Any) -> Any:
        # Looked up in `loaded` each time, because a signature alone does not keep the model's variables alive.
        serve = loaded.signatures["serving_default"]
        return serve(pixels=tensorflow.constant(pixels))["probabilities"].numpy()

    return predict


if __name__ == "__main__":
    main()
