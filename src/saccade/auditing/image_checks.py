"""Checks of single images: dark, bright, blurry, low-information, odd size, odd shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding
from saccade.image_fit import Fit
from saccade.sanitize import counted, plural

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MIN_DEVIATION = 4.0  # standard deviation of the brightness, of 255
_DARK = 24.0  # 98th percentile of the brightness
_BRIGHT = 231.0  # 2nd percentile of the brightness
_BLURRED = 7.0  # robust standard deviations below the median
_MIN_SPREAD = 0.15
_ODD_SHAPE = 2.5  # ratio to the median aspect ratio
_ODD_SIZE = 4.0  # ratio of the median shorter side
_EFFECTS: dict[Fit, str] = {
    "crop": "crops the ends",
    "pad": "makes them small, with wide edges",
    "squash": "changes it",
}
_FIX = "look at the images in audit.html, drop images that show nothing, and save fixes.csv"


@dataclass(frozen=True)
class Brightness:
    """Brightness and sharpness of n images.

    Attributes:
        mean: mean brightness, float32 [n], 0 to 255.
        low: 2nd percentile of the brightness, float32 [n], 0 to 255.
        high: 98th percentile of the brightness, float32 [n], 0 to 255.
        deviation: standard deviation of the brightness, float32 [n].
        sharpness: logarithm of the ratio of the Laplacian's standard deviation to `deviation`, float32 [n].
    """

    mean: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    deviation: NDArray[np.float32]
    sharpness: NDArray[np.float32]


def measure_brightness(images: AuditedImages) -> Brightness:
    """Measure brightness and sharpness of all images, in chunks."""
    values = np.concatenate([_measure_chunk(pixels) for _, pixels in images.chunks()])
    return Brightness(*values.T)


def _measure_chunk(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    gray = pixels.astype(np.float32) @ _LUMA
    flat = gray.reshape(len(gray), -1)
    low, high = np.percentile(flat, [2, 98], axis=1)
    deviation = flat.std(axis=1)
    # Variance of the Laplacian (Pech-Pacheco et al., 2000), normalized by the contrast.
    edges = 4 * gray[:, 1:-1, 1:-1] - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    sharpness = np.log(np.maximum(edges.std(axis=(1, 2)), 1e-3) / np.maximum(deviation, 1))
    return np.stack([flat.mean(axis=1), low, high, deviation, sharpness], axis=1).astype(np.float32)


def image_findings(images: AuditedImages, brightness: Brightness) -> list[Finding]:
    """Return findings on images with little information and on images of odd size or shape."""
    narrow, small = _odd_sizes(images)
    empty = brightness.deviation < _MIN_DEVIATION
    dark = ~empty & (brightness.high < _DARK)
    bright = ~empty & (brightness.low > _BRIGHT)
    # Enlarged images are blurry; they are reported as images of odd size.
    blurry = ~(empty | dark | bright | small) & (brightness.sharpness < _min_sharpness(brightness.sharpness))
    sizes = images.all.sizes.astype(np.float64)
    shorter, ratio = sizes.min(axis=1), sizes.max(axis=1) / sizes.min(axis=1)
    checks = (
        ("low-information", empty, brightness.deviation, "of a single color, without information"),
        ("dark", dark, brightness.high, "almost black"),
        ("bright", bright, brightness.low, "almost white"),
        ("blurry", blurry, brightness.sharpness, "far blurrier than the other images"),
        ("odd-shape", narrow, ratio, f"of an unusual aspect ratio: preprocessing {_EFFECTS[images.preprocessing.fit]}"),
        ("odd-size", small, shorter, f"at most a quarter of the median size ({np.median(shorter):g} pixels)"),
    )
    return [
        _finding(images, kind, mask, values, description) for kind, mask, values, description in checks if mask.any()
    ]


def _min_sharpness(sharpness: NDArray[np.float32]) -> float:
    median = float(np.median(sharpness))
    spread = 1.4826 * float(np.median(np.abs(sharpness - median)))
    return median - _BLURRED * max(spread, _MIN_SPREAD)


def _odd_sizes(images: AuditedImages) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the masks of images with an unusual aspect ratio and of unusually small images, bool [n] each."""
    sizes = images.all.sizes.astype(np.float64)
    shape, shorter = np.log(sizes[:, 1] / sizes[:, 0]), sizes.min(axis=1)
    narrow = np.abs(shape - np.median(shape)) > np.log(_ODD_SHAPE)
    return narrow, ~narrow & (shorter * _ODD_SIZE <= np.median(shorter))


def _finding(
    images: AuditedImages, kind: str, mask: NDArray[np.bool_], values: NDArray[np.floating], description: str
) -> Finding:
    positions = np.flatnonzero(mask)
    summary = f"{counted(len(positions), 'image')} {plural(len(positions), 'is', 'are')} {description}"
    return Finding(kind, "warning", summary, _FIX, images.singletons(positions, values))
