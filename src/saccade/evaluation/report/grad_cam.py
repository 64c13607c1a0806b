"""Grad-CAM: class activation maps of a network.

Source: R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
ICCV 2017. The tests compare the maps of trained weights with the maps of random weights, as J. Adebayo et al., "Sanity
checks for saliency maps", NeurIPS 2018, do.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from saccade.models.layer_outputs import inner_network, layer_outputs, resize_to_network

# Minimum height and width of a map. Deeper layers have better features, but smaller maps have a poor resolution.
_MIN_SIDE = 6
# Overlay of a map: factor of the brightness where the map is 0, and RGB color added where the map is 1.
_MIN_BRIGHTNESS = 0.3
_TINT = np.array([90.0, 30.0, -30.0])


@dataclass(frozen=True)
class GradCam:
    """A network, prepared for Grad-CAM.

    Attributes:
        features: model from pixels, float32 [n, height, width, 3], to the explained activations, [n, rows, columns,
            channels], and the inputs of the last dense layer, [n, inputs].
        head: kernel, [inputs, classes], and bias, [classes] or 0, of the last dense layer.
        network: the network, without preprocessing and test-time augmentation.
    """

    features: keras.Model
    head: tuple[NDArray[np.float32], NDArray[np.float32] | float]
    network: keras.Model

    @classmethod
    def of(cls, model: keras.Model) -> GradCam:
        """Prepare a probability model for Grad-CAM.

        The explained activations are the deepest activations with at least 6 rows and columns, or the deepest of all.

        Args:
            model: model from `build_probability_model`.
        """
        network = inner_network(model)
        pixels, *outputs = layer_outputs(network)
        maps = [output for _, _, output in outputs if len(output.shape) == 4]
        fine = [output for output in maps if min(output.shape[1:3]) >= _MIN_SIDE]
        dense, inputs, _ = next(layer for layer in reversed(outputs) if isinstance(layer[0], keras.layers.Dense))
        weights = dense.get_weights()
        return cls(
            features=keras.Model(pixels[2], [(fine or maps)[-1], inputs]),
            head=(weights[0], weights[1] if len(weights) > 1 else 0.0),
            network=network,
        )

    def maps(self, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Compute the Grad-CAM map of each image for a class.

        Args:
            images: uint8 [n, height, width, 3], of the run's image size.
            classes: explained class of each image, int64 [n].

        Returns:
            Maps, float32 [n, rows, columns], scaled to a maximum of 1; all 0 without positive evidence for the class.
        """
        kernel, bias = self.head
        with tf.GradientTape() as tape:
            activations, inputs = self.features(resize_to_network(self.network, images), training=False)
            # Logits instead of probabilities: the gradient of a probability near 1 is near 0.
            scores = tf.gather(inputs @ kernel + bias, classes, batch_dims=1)
        gradients = tape.gradient(scores, activations)
        importance = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        maps = tf.nn.relu(tf.reduce_sum(importance * activations, axis=-1)).numpy()
        maximum = maps.max(axis=(1, 2), keepdims=True)
        return np.asarray(np.divide(maps, maximum, out=np.zeros_like(maps), where=maximum > 0), np.float32)


def overlay(image: NDArray[np.uint8], cam: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Overlay a Grad-CAM map on an image: dark where the map is 0, tinted where the map is 1.

    Args:
        image: uint8 [height, width, 3].
        cam: map of the image, float32 [rows, columns], 0 to 1.

    Returns:
        Overlaid image, uint8 [height, width, 3].
    """
    height, width = image.shape[:2]
    resized = np.asarray(Image.fromarray(cam).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    tinted = image * (_MIN_BRIGHTNESS + (1 - _MIN_BRIGHTNESS) * resized)
    return np.asarray(np.clip(tinted + _TINT * resized**2, 0, 255), np.uint8)
