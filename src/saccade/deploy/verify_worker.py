"""Worker of `verify`: open an export without Saccade, and write its probabilities for some images.

`verify` runs this file in a process of its own, with one argument, a `VerifyRequest` as JSON. The process writes the
probabilities of the export, and prints its `Speed` as JSON on request. This file imports nothing of Saccade and
prevents every import of Saccade; `verify` imports the two messages from here.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

_BATCH_SIZE = 32
_THROUGHPUT_IMAGES = 256
_MIN_REPEATS, _MAX_REPEATS, _MAX_SECONDS = 3, 30, 3.0


@dataclass(frozen=True)
class VerifyRequest:
    """Request to the worker process.

    Attributes:
        form: one of `saccade.deploy.formats.FORMATS`.
        export: path of the exported file or directory.
        images: path of a .npy file, uint8 [n, height, width, 3].
        probabilities: path of the .npy file to write: probabilities of the export, [n, classes], in its own dtype.
        started: start of the process, in seconds of the monotonic clock; None: no measurement of the speed.
    """

    form: str
    export: str
    images: str
    probabilities: str
    started: float | None


@dataclass(frozen=True)
class Speed:
    """Speed of an export.

    Attributes:
        cold_start_seconds: time from the start of the process to its first prediction.
        latency_ms: median time of a call with one image, in milliseconds.
        images_per_second: throughput in batches of 32.
        memory_mb: peak memory of the process, in megabytes (10^6 bytes).
    """

    cold_start_seconds: float
    latency_ms: float
    images_per_second: float
    memory_mb: float


def main() -> None:
    """Process the request in the first argument."""
    # None makes every import of Saccade fail, as where Saccade is not installed.
    sys.modules["saccade"] = None  # type: ignore[assignment]
    # Keras imports these packages where they are installed, which takes a third of its import time.
    sys.modules.update(dict.fromkeys(("pandas", "matplotlib", "sklearn", "IPython")))  # type: ignore[arg-type]
    # The reference probabilities were computed on the CPU, and the exporting process may hold all memory of a GPU.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    request = VerifyRequest(**json.loads(sys.argv[1]))
    images = np.load(request.images, allow_pickle=False)
    predict = _open_export(request.form, Path(request.export))
    if request.started is not None:
        sys.stdout.write(json.dumps(asdict(_measure(predict, images, request.started))) + "\n")
    probabilities = [predict(batch.astype(np.float32)) for batch in _batches(images)]
    np.save(request.probabilities, np.concatenate(probabilities), allow_pickle=False)


def _batches(images: Any) -> list[Any]:
    return [images[start : start + _BATCH_SIZE] for start in range(0, len(images), _BATCH_SIZE)]


def _measure(predict: Callable[[Any], Any], images: Any, started: float) -> Speed:
    """Measure cold start, latency, throughput and memory."""
    one, many = images[:1].astype(np.float32), images[:_THROUGHPUT_IMAGES].astype(np.float32)
    predict(one)
    cold_start = time.monotonic() - started
    latencies = _call_times(predict, one)
    predict(many[:_BATCH_SIZE])
    batch_times = _call_times(lambda pixels: [predict(batch) for batch in _batches(pixels)], many)
    return Speed(
        cold_start_seconds=cold_start,
        latency_ms=1000 * statistics.median(latencies),
        images_per_second=len(many) / statistics.median(batch_times),
        memory_mb=_peak_memory() / 1e6,
    )


def _peak_memory() -> int:
    """Return the peak memory of this process in bytes. On Linux, `getrusage` would include the parent process."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _call_times(predict: Callable[[Any], Any], pixels: Any) -> list[float]:
    """Return the time of each of several calls, in seconds: 30 calls, or fewer where they take long."""
    seconds: list[float] = []
    while len(seconds) < _MIN_REPEATS or (len(seconds) < _MAX_REPEATS and sum(seconds) < _MAX_SECONDS):
        start = time.perf_counter()
        predict(pixels)
        seconds.append(time.perf_counter() - start)
    return seconds


def _open_export(form: str, path: Path) -> Callable[[Any], Any]:
    """Open an export as a function from pixels, float32 [n, height, width, 3], to probabilities [n, classes]."""
    if form == "onnx" or form.startswith("litert"):
        # Neither format may need the packages that wrote the file.
        sys.modules["tensorflow"] = sys.modules["keras"] = None  # type: ignore[assignment]
        return _open_onnx(path) if form == "onnx" else _open_litert(path)
    if form == "savedmodel":
        return _open_saved_model(path / "1")  # as TensorFlow Serving does
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

    run = Interpreter(str(path)).get_signature_runner("serving_default")
    return lambda pixels: run(pixels=pixels)["probabilities"]


def _open_saved_model(path: Path) -> Callable[[Any], Any]:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(path))

    def predict(pixels: Any) -> Any:
        # From `loaded` at each call, because a signature alone does not keep the variables of the model alive.
        serve = loaded.signatures["serving_default"]
        return serve(pixels=tensorflow.constant(pixels))["probabilities"].numpy()

    return predict


if __name__ == "__main__":
    main()
