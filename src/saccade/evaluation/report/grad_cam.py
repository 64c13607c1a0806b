"""Where a network looks: Grad-CAM maps of the images' evidence for a class.

Source: R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
ICCV 2017. Whether such maps depend on what was learned is tested as by J. Adebayo et al., "Sanity checks for saliency
maps", NeurIPS 2018: a network with random weights looks elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from saccade.models.layer_outputs import inner_network, layer_outputs, resize_to_network

# A map of fewer places than this on a side says too little about where; a deeper layer says more about what.
_LEAST_SIDE = 6
# How a map is drawn: the brightness where it is 0, and the red, green and blue added where it is 1.
_DARKEST = 0.3
_TINT = np.array([90.0, 30.0, -30.0])


@dataclass(frozen=True)
class GradCam:
    """A network, cut where its maps are read.

    Attributes:
        explained: from pixels [n, height, width, 3] to the activations that are read, [n, rows, columns, channels], and
            the inputs of the last dense layer.
        head: the last dense layer's kernel, [inputs, classes], and bias, [classes] or 0.
        network: the network itself.
    """

    explained: keras.Model
    head: tuple[NDArray[np.float32], NDArray[np.float32] | float]
    network: keras.Model

    @classmethod
    def of(cls, model: keras.Model) -> GradCam:
        """Prepares a probability model for maps.

        They are read from the deepest activations of at least 6 places on a side, or the deepest of all.

        Args:
            model: as `build_probability_model` makes it.
        """
        network = inner_network(model)
        pixels, *passed = layer_outputs(network)
        maps = [output for _, _, output in passed if len(output.shape) == 4]
        fine = [output for output in maps if min(output.shape[1:3]) >= _LEAST_SIDE]
        dense, features, _ = next(step for step in reversed(passed) if isinstance(step[0], keras.layers.Dense))
        weights = dense.get_weights()
        return cls(
            explained=keras.Model(pixels[2], [(fine or maps)[-1], features]),
            head=(weights[0], weights[1] if len(weights) > 1 else 0.0),
            network=network,
        )

    def maps(self, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Where in each image the evidence for a class is.

        Args:
            images: uint8 [n, height, width, 3], of the run's size.
            classes: the class of each map, int64 [n].

        Returns:
            float32 [n, rows, columns], from 0 to 1, the most of each map 1; all 0 where nothing speaks for the class.
        """
        kernel, bias = self.head
        with tf.GradientTape() as tape:
            activations, features = self.explained(resize_to_network(self.network, images), training=False)
            # Not the probability: where that is nearly 1, its gradient is nearly 0.
            scores = tf.gather(features @ kernel + bias, classes, batch_dims=1)
        gradients = tape.gradient(scores, activations)
        importance = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        found = tf.nn.relu(tf.reduce_sum(importance * activations, axis=-1)).numpy()
        highest = found.max(axis=(1, 2), keepdims=True)
        return np.asarray(np.divide(found, highest, out=np.zeros_like(found), where=highest > 0), np.float32)


def overlaid(image: NDArray[np.uint8], found: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image with its map over it: what the map leaves out is darker, where it is highest is tinted.

    Args:
        image: uint8 [height, width, 3].
        found: its map, float32 [rows, columns], 0 to 1.

    Returns:
        uint8 [height, width, 3].
    """
    height, width = image.shape[:2]
    whole = np.asarray(Image.fromarray(found).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    tinted = image * (_DARKEST + (1 - _DARKEST) * whole)
    return np.asarray(np.clip(tinted + _TINT * whole**2, 0, 255), np.uint8)
