"""Conversion of a model to LiteRT (formerly TensorFlow Lite), for phones and small computers."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from saccade.keras_loading import notices_held_back

if TYPE_CHECKING:
    import keras

Weights = Literal["float32", "float16", "int8"]


def to_litert(model: keras.Model, weights: Weights, examples: NDArray[np.uint8]) -> bytes:
    """Convert a model to LiteRT, with the signature `serving_default`: pixels -> probabilities, both float32.

    Args:
        model: model from float32 [n, height, width, 3] to float32 [n, classes]; faster after `fold_normalization`.
        weights: dtype of the weights. With "int8", activations are quantized too.
        examples: calibration images for "int8", uint8 [n, height, width, 3], from which the range of each activation is
            measured.

    Returns:
        Contents of the LiteRT file.
    """
    import keras
    import tensorflow as tf

    from saccade.models.layers.split_float16_conv import split_first_convolution

    if weights == "float16":
        model = split_first_convolution(model)
    signature = [tf.TensorSpec(model.input_shape, tf.float32, name="pixels")]
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", lambda pixels: {"probabilities": model(pixels, training=False)}, signature)
    with tempfile.TemporaryDirectory(prefix="saccade-litert-") as folder:
        # From a SavedModel, because the converter converts variables to constants only for this input.
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if weights == "int8":
            converter.representative_dataset = lambda: ([image[None].astype(np.float32)] for image in examples)
        with notices_held_back():
            contents: bytes = converter.convert()
    return contents
