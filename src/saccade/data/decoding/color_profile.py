"""Embedded ICC color profiles (ICC.1:2022): colors of other profiles, such as Display P3, become sRGB."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_MAX_BYTES = 1 << 22  # of a profile
# Greatest difference, on a scale of 255, up to which a profile counts as sRGB: programs round its curves differently.
_TOLERANCE = 2
_KEPT = 16  # transforms; the images of a camera share one


def to_srgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return an image of mode "RGB" or "RGBA" in the colors of sRGB, and whether its profile, if any, can be used.

    The conversion is relative colorimetric. Without a profile, and with a profile that can't be used, the image is
    returned as it is.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA"):
        return image, True
    try:
        transform = _transform(bytes(profile), image.mode)
    except Exception:  # LittleCMS's errors for damaged profiles have several types
        return image, False
    return (image if transform is None else transform.apply(image)), True


@lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion of a profile to sRGB; None if the profile is sRGB, or of another color space than RGB.

    Pillow converts other color spaces, such as CMYK, without their profiles.

    Raises:
        ValueError: the profile is too large.
        ImageCms.PyCMSError, OSError: the profile is damaged.
    """
    if len(profile) > _MAX_BYTES:
        raise ValueError("the profile is too large")
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    if source.profile.xcolor_space.strip() != "RGB":
        return None
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = ImageCms.buildTransform(source, target, mode, mode, intent)
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 27, 3)
    probe = Image.fromarray(colors).convert(mode)
    converted = np.asarray(transform.apply(probe)).astype(int)
    return None if np.abs(converted - np.asarray(probe)).max() <= _TOLERANCE else transform
