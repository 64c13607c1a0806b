"""Which dtype this machine computes faster in: measured, since neither its name nor its age tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from saccade.recipes import ComputeDtype

# Below this gain the digits are worth more than the time.
_LEAST_GAIN = 1.2
_ROUNDS = 9
_SECONDS = 0.4


def measure_compute_dtype() -> ComputeDtype:
    """Times a 3x3 convolution and its gradients in both dtypes, in turns, for half a second at most.

    Returns:
        "bfloat16" if its shortest time is at most 1/1.2 of that of float32, else "float32"; that, too, where bfloat16
        is not supported, and on other backends than TensorFlow. Other work on the machine makes times longer, never
        shorter, so the shortest ones say what the machine can do.
    """
    if keras.backend.backend() != "tensorflow":
        return "float32"
    import tensorflow as tf

    try:
        single, half = _timed_step("float32"), _timed_step("bfloat16")
        times = [(single(), half())]
        deadline = time.perf_counter() + _SECONDS
        while len(times) < _ROUNDS and time.perf_counter() < deadline:
            times.append((single(), half()))
    except tf.errors.OpError:
        return "float32"
    shortest, shortest_half = map(min, zip(*times, strict=True))
    return "bfloat16" if shortest >= _LEAST_GAIN * shortest_half else "float32"


def _timed_step(dtype: ComputeDtype) -> Callable[[], float]:
    """A function that runs the convolution forward and backward once and says how many seconds that took."""
    import tensorflow as tf

    images = tf.ones((32, 16, 16, 64), dtype)
    kernel = tf.ones((3, 3, 64, 64), dtype)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no type hints
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            outputs = tf.nn.conv2d(images, kernel, 1, "SAME")
        return tape.gradient(outputs, (images, kernel), output_gradients=outputs)

    def timed() -> float:
        began = time.perf_counter()
        for gradient in gradients():
            # A copy to the host waits for a device that works behind our back.
            gradient.numpy()
        return time.perf_counter() - began

    timed()
    return timed
