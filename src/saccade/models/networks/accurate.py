"""Network of the recipe `accurate`: the network of `fast` with the channels of airbench95 (Keller Jordan, 2024)."""

from __future__ import annotations

from functools import partial

from saccade.models.networks.fast import (
    ANY_SIZE,
    EARLY_LAYERS,
    MINIMUM_SIZE,
    build_of_width,
    dense_weights,
    initialize,
)

__all__ = ["ANY_SIZE", "EARLY_LAYERS", "MINIMUM_SIZE", "build", "dense_weights", "initialize"]

CHANNELS = (128, 384, 384)


build = partial(build_of_width, channels=CHANNELS, name="accurate")
"""The same function as `fast.build`, with the channels of `accurate`."""
