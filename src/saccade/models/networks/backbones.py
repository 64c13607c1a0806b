"""Backbones of `keras.applications` for transfer learning, each with its preprocessing inside.

Howard et al., "Searching for MobileNetV3" (2019); Tan and Le, "EfficientNetV2" (2021); Liu et al., "A ConvNet for the
2020s" (2022); He et al., "Identity Mappings in Deep Residual Networks" (2016).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

import keras
from keras import layers

from saccade.errors import TrainingError
from saccade.models.networks.flatten_backbone import flatten_backbone
from saccade.recipes import BackboneName


@dataclass(frozen=True)
class Backbone:
    """A network of `keras.applications`, with the interface of the other modules of this package.

    Attributes:
        name: name in `keras.applications`.
        size: side of the square images that the ImageNet weights were trained on, in pixels.
        rescaled: whether pixels are rescaled to [-1, 1] in front of the network; False if Keras's own network does it.
    """

    MINIMUM_SIZE: ClassVar[int] = 32
    ANY_SIZE: ClassVar[bool] = False

    name: BackboneName
    size: int
    rescaled: bool = False

    def dense_weights(self, height: int, width: int) -> int:  # noqa: ARG002 - interface of all families
        """Return 0: the size of no dense layer depends on the image size."""
        return 0

    def build(self, height: int | None, width: int | None, classes: int) -> keras.Model:
        """Build preprocessing - the network - GlobalAveragePool - Dense, with fresh weights.

        Args:
            height: height of the images, in pixels.
            width: width of the images, in pixels.
            classes: number of classes.

        Returns:
            Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes], of stock Keras layers.
        """
        return self._around(self._from_keras(height, width, None), classes)

    def trained(self, classes: int) -> keras.Model:
        """Build the network at its own size with ImageNet weights, which Keras downloads, verifies and caches.

        Raises:
            TrainingError: the weights are not in the cache and can't be downloaded.
        """
        try:
            body = self._from_keras(self.size, self.size, "imagenet")
        except Exception as error:  # Keras raises `Exception` itself where a download fails
            raise TrainingError(
                f"the weights of {self.name} are not in Keras's cache and can't be downloaded",
                found=str(error)[:300],
                remedy="download the file from that address on a machine with network access and pass it with "
                "--weights FILE, or put it into the folder ~/.keras/models",
            ) from None
        return self._around(body, classes)

    def from_file(self, path: Path, classes: int) -> keras.Model:
        """Build the network at its own size with the weights of a Keras HDF5 file without head (`include_top=False`).

        Raises:
            TrainingError: the file does not hold weights of this network.
        """
        body = self._from_keras(self.size, self.size, None)
        try:
            _require_no_external_data(path)
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras only warns about layers without weights in the file
                body.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, UserWarning) as error:
            raise TrainingError(
                f"'{path}' does not hold the weights of {self.name}",
                expected="a file *_notop.h5 or *_no_top_v2.h5 of keras.applications, or one that save_weights made",
                found=str(error).strip().partition("\n")[0][:300],
            ) from None
        return self._around(body, classes)

    def _from_keras(self, height: int | None, width: int | None, weights: str | None) -> keras.Model:
        make = getattr(keras.applications, self.name)
        model: keras.Model = make(include_top=False, weights=weights, input_shape=(height, width, 3), pooling="avg")
        return model

    def _around(self, body: keras.Model, classes: int) -> keras.Model:
        pixels = x = keras.Input(body.input_shape[1:], name="pixels")
        if self.rescaled:
            x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(x)
        x = flatten_backbone(body, x)
        return keras.Model(pixels, layers.Dense(classes, name="classes")(x), name=self.name)


def _require_no_external_data(path: Path) -> None:
    """Reject an HDF5 file with references to other files: the file is untrusted input.

    Raises:
        ValueError: the file has links, or data sets that are stored in other files.
    """
    import h5py

    def link_at(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else f"'{name}' is a link"

    def stored_elsewhere(name: str, item: object) -> str | None:
        elsewhere = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
        return f"'{name}' lies in another file" if elsewhere else None

    with h5py.File(path) as file:
        # Both functions stop at the first result that is not None.
        problem = file.visititems_links(link_at) or file.visititems(stored_elsewhere)
    if problem:
        raise ValueError(problem)


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("MobileNetV3Small", 224),
        Backbone("MobileNetV3Large", 224),
        Backbone("EfficientNetV2B0", 224),
        Backbone("EfficientNetV2B1", 240),
        Backbone("EfficientNetV2B2", 260),
        Backbone("EfficientNetV2B3", 300),
        Backbone("ConvNeXtTiny", 224),
        Backbone("ResNet50V2", 224, rescaled=True),
    )
}
"""Backbones by name."""

assert set(BACKBONES) == set(get_args(BackboneName))  # noqa: S101 - an impossible state, not an input
