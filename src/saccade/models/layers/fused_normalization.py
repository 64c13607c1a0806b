"""Batch normalization in one pass over its inputs, where TensorFlow has a kernel for it."""

from __future__ import annotations

from typing import Any

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no type hints
    """`keras.layers.BatchNormalization` with the same variables, settings and results (Ioffe & Szegedy 2015), faster.

    On the TensorFlow backend, inputs of shape [n, height, width, channels] in float32 or bfloat16 go through
    TensorFlow's fused kernel, which reads bfloat16 as it is; statistics, scale and offset are float32. Everything else
    goes the way of the stock layer.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes by the batch's statistics and updates the moving ones in training, by the moving ones elsewhere.

        Args:
            inputs: float, channels along `axis`.
            training: whether this is a training step; a frozen layer (`trainable = False`) takes no notice of it.
            mask: as the stock layer takes it.

        Returns:
            The same shape, in the layer's compute dtype.
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
            # The kernel returns the sum of squares over n - 1; Keras keeps a moving average of that over n.
            n = tf.cast(tf.size(inputs) // channels, tf.float32)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * (tf.maximum(n - 1.0, 1.0) / n))
        return tf.cast(outputs, self.compute_dtype)

    def _move(self, average: keras.Variable, value: Any) -> None:
        average.assign(average * self.momentum + value * (1.0 - self.momentum))
