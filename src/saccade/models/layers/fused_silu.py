"""SiLU with a gradient in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras


class FusedSilu(keras.layers.Activation):  # type: ignore[misc]  # Keras has no type hints
    """`keras.layers.Activation("silu")`, x * sigmoid(x) (Elfwing et al. 2018), with a faster gradient on TensorFlow.

    TensorFlow's kernel for the activation itself is fast; its gradient is a chain of element-wise operations, slow in
    bfloat16 above all. Here XLA compiles that chain to one loop, which computes in float32 whatever it reads.
    """

    def call(self, inputs: Any) -> Any:
        """Inputs of any shape, in the layer's compute dtype, as the outputs are."""
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        return _silu_on_tensorflow()(inputs)


@cache
def _silu_on_tensorflow() -> Any:
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no type hints
    def gradient(x: Any, upstream: Any) -> Any:
        wide = tf.cast(x, tf.float32)
        sigmoid = tf.sigmoid(wide)
        slope = sigmoid * (1.0 + wide * (1.0 - sigmoid))
        return tf.cast(tf.cast(upstream, tf.float32) * slope, x.dtype)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def silu(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        return tf.nn.silu(x), lambda upstream: gradient(x, upstream)

    return silu
