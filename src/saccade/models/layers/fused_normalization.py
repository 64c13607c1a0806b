"""Batch normalization by TensorFlow's fused kernel."""

from __future__ import annotations

from typing import Any

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no type hints
    """Faster `keras.layers.BatchNormalization` with equal variables, settings and results (Ioffe & Szegedy 2015).

    On the TensorFlow backend, inputs of shape [n, height, width, channels] in float32 or bfloat16 are normalized by
    TensorFlow's fused kernel, which reads bfloat16 without conversion; statistics, scale and offset are float32. Other
    inputs are normalized by the stock layer.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize by batch statistics and update the moving statistics in training; use the latter at inference.

        Args:
            inputs: floating-point tensor, channels along `axis`.
            training: whether this is a training step; ignored by a frozen layer (`trainable = False`).
            mask: mask, as in the stock layer.

        Returns:
            Tensor of the shape of the inputs, in the layer's compute dtype.
        """
        if mask is not None or not self._has_fused_kernel(inputs):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, training=bool(training and self.trainable))

    def _has_fused_kernel(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16")
            and not (self.renorm or self.synchronized)
        )

    def _fused(self, inputs: Any, *, training: bool) -> Any:
        import tensorflow as tf

        channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros(0) if training else tf.convert_to_tensor(self.moving_mean),
            variance=tf.zeros(0) if training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel returns the sum of squares divided by n - 1; Keras averages the sum divided by n.
            n = tf.cast(tf.size(inputs) // channels, tf.float32)
            self._update(self.moving_mean, mean)
            self._update(self.moving_variance, variance * (tf.maximum(n - 1.0, 1.0) / n))
        return tf.cast(outputs, self.compute_dtype)

    def _update(self, average: keras.Variable, value: Any) -> None:
        average.assign(average * self.momentum + value * (1.0 - self.momentum))
