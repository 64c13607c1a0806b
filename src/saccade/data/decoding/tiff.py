"""What Pillow decodes wrongly in a TIFF file (TIFF revision 6.0, 1992): refused, or corrected.

Found by comparing Pillow 13 with tifffile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.errors import ImageError

_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _PLANAR_CONFIGURATION = 258, 259, 262, 284
_UNCOMPRESSED, _SEPARATE_PLANES, _MIN_IS_WHITE = 1, 2, 0
UNSUPPORTED = "a kind of TIFF that is not supported: convert it to JPEG or PNG"


def check_layout(image: Image.Image) -> None:
    """Check that Pillow decodes the samples of a TIFF image rightly.

    Pillow takes separate planes of 16 bits for planes of eight bits, and mixes the planes of gray and transparency.

    Raises:
        ImageError: the layout of the samples is one that Pillow decodes wrongly.
    """
    tags = _tags(image)
    if tags.get(_PLANAR_CONFIGURATION) != _SEPARATE_PLANES:
        return
    deep = max(tags.get(_BITS_PER_SAMPLE, (1,))) > 8
    if image.mode in ("LA", "La", "PA") or (deep and tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED):
        raise ImageError(UNSUPPORTED)


def deep_values(image: Image.Image, values: NDArray[Any]) -> NDArray[Any]:
    """Return samples of a gray image of more than eight bits, [rows, width], with the right order of their bytes.

    In compressed TIFF files libtiff swaps the bytes of big-endian samples, and Pillow swaps them back.

    Args:
        image: the image.
        values: samples by Pillow, of the image or of a part of it.
    """
    tags = _tags(image)
    is_swapped = getattr(tags, "prefix", b"") == b"MM" and tags.get(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED
    if not is_swapped or image.mode not in ("F", "I"):
        return values
    two_bytes = max(tags.get(_BITS_PER_SAMPLE, (1,))) == 16
    return values.astype(np.int16).byteswap() if two_bytes else values.byteswap()


def is_min_white(image: Image.Image) -> bool:
    """Return whether the smallest sample of a TIFF image is white; Pillow inverts samples of eight bits itself."""
    return _tags(image).get(_PHOTOMETRIC) == _MIN_IS_WHITE


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of a TIFF image; empty for another format."""
    return getattr(image, "tag_v2", {})
