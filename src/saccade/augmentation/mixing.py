"""Mixing of the images of a batch: mixup and CutMix. Parameters are sampled on the host, and applied in the graph.

Each image is mixed with the image before it in the batch, as in torchvision; the order of an epoch is random already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.rng import make_rng


@dataclass(frozen=True)
class Mixing:
    """Parameters of the mixing of one batch.

    Attributes:
        pastes: True for CutMix, False for mixup.
        share: mixup: weight of the image itself in the average. CutMix: fraction of the area that is not pasted, before
            the rectangle is cut off at the edges of the image. 0 to 1.
        down: CutMix: vertical position of the center of the rectangle, as a fraction of the height; 0 to 1.
        right: CutMix: horizontal position of the center, as a fraction of the width; 0 to 1.
    """

    pastes: bool
    share: float
    down: float
    right: float

    def as_array(self) -> NDArray[np.float32]:
        """Return the parameters as input of the graph, float32 [4]: pastes (0 or 1), share, down, right."""
        return np.array([self.pastes, self.share, self.down, self.right], np.float32)


def sample_mixing(augmentation: Augmentation, *, seed: int, epoch: int, position: int) -> Mixing | None:
    """Sample the mixing of a batch: mixup (Zhang et al. 2018), CutMix (Yun et al. 2019), or either with chance 1/2.

    Args:
        augmentation: parameters of the beta distributions.
        seed: seed of the training.
        epoch: epoch, counted from 0.
        position: position of the first sample of the batch in the epoch.

    Returns:
        None if the augmentation mixes no images.
    """
    if not augmentation.mixup and not augmentation.cutmix:
        return None
    rng = make_rng(seed, epoch, "mixing", position)
    choice, down, right = rng.random(3)
    pastes = bool(choice < 0.5) if augmentation.mixup and augmentation.cutmix else bool(augmentation.cutmix)
    alpha = augmentation.cutmix if pastes else augmentation.mixup
    return Mixing(pastes, float(rng.beta(alpha, alpha)), float(down), float(right))


def mix_images(images: Any, parameters: Any) -> tuple[Any, Any]:
    """Mix each image with its partner, the image before it in the batch.

    Args:
        images: images, float32 [n, height, width, 3].
        parameters: `Mixing.as_array`, float32 [4].

    Returns:
        The mixed images, float32 [n, height, width, 3], and the share of the own label of each image in its target,
        float32 []. The rest is the share of the label of the partner.
    """
    _, height, width, _ = images.shape
    pastes, share, down, right = ops.unstack(parameters, 4)
    half = 0.5 * ops.sqrt(1 - share)
    pasted = ops.outer(_covered(down, half, height), _covered(right, half, width))
    own = ops.where(pastes > 0.5, 1 - pasted, share)
    mixed = images * own[:, :, None] + partners(images) * (1 - own[:, :, None])
    return mixed, ops.where(pastes > 0.5, 1 - ops.sum(pasted) / (height * width), share)


def partners(values: Any) -> Any:
    """Return the partner of each image, or the label of the partner: the batch, rolled by one."""
    return ops.roll(values, 1, axis=0)


def _covered(center: Any, half: Any, side: int) -> Any:
    """Return 1 for pixels of a side that the pasted rectangle covers and 0 for others, float32 [side].

    Args:
        center: center of the rectangle, as a fraction of the side.
        half: half of the length of the rectangle, as a fraction of the side.
        side: number of pixels.
    """
    pixels = ops.arange(side, dtype="float32")
    middle, reach = ops.minimum(ops.floor(center * side), side - 1), ops.floor(half * side)
    return ops.cast((pixels >= middle - reach) & (pixels < middle + reach), "float32")
