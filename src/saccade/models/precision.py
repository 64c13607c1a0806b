"""Compute dtype of training: float32 or bfloat16, chosen by measured speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from saccade.keras_loading import notices_held_back
from saccade.recipes import ComputeDtype

# With a smaller speedup the precision of float32 is preferred.
_MIN_SPEEDUP = 1.2
_ROUNDS = 9
_SECONDS = 0.4
_IMAGES, _SIDE, _CHANNELS = 32, 16, 64
CONVOLUTION_OPERATIONS = 3 * 2 * _IMAGES * _SIDE**2 * 9 * _CHANNELS**2
"""Multiplications and additions of `timed_convolution`: of the convolution and its two gradients."""


def measure_compute_dtype() -> ComputeDtype:
    """Time a 3x3 convolution with its gradients in both dtypes, alternately, for half a second at most.

    Returns:
        "bfloat16" if its minimum time is at most 1/1.2 of the minimum time of float32; otherwise "float32", also if
        bfloat16 is not supported or the backend is not TensorFlow. Minimum times are compared because other processes
        can only make a measured time longer.
    """
    if keras.backend.backend() != "tensorflow":
        return "float32"
    import tensorflow as tf

    try:
        with notices_held_back():
            time_float32, time_bfloat16 = timed_convolution("float32"), timed_convolution("bfloat16")
            times = [(time_float32(), time_bfloat16())]
            deadline = time.perf_counter() + _SECONDS
            while len(times) < _ROUNDS and time.perf_counter() < deadline:
                times.append((time_float32(), time_bfloat16()))
    except tf.errors.OpError:
        return "float32"
    float32, bfloat16 = map(min, zip(*times, strict=True))
    return "bfloat16" if float32 >= _MIN_SPEEDUP * bfloat16 else "float32"


def timed_convolution(dtype: ComputeDtype) -> Callable[[], float]:
    """Return a function that runs a 3x3 convolution forward and backward once and returns the seconds."""
    import tensorflow as tf

    images = tf.ones((_IMAGES, _SIDE, _SIDE, _CHANNELS), dtype)
    kernel = tf.ones((3, 3, _CHANNELS, _CHANNELS), dtype)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no type hints
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            outputs = tf.nn.conv2d(images, kernel, 1, "SAME")
        return tape.gradient(outputs, (images, kernel), output_gradients=outputs)

    def timed() -> float:
        began = time.perf_counter()
        for gradient in gradients():
            # A copy to the host waits for devices that compute asynchronously.
            gradient.numpy()
        return time.perf_counter() - began

    timed()
    return timed
