"""Images that are hard to learn from: dark, bright, blurry, empty, of odd size or shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding
from saccade.sanitize import counted

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLAT = 4.0  # standard deviation of brightness, of 255
_DARK = 24.0  # 98% of the pixels are darker
_BRIGHT = 231.0  # 98% of the pixels are brighter
_BLURRED = 7.0  # robust standard deviations below the median
_LEAST_SPREAD = 0.15
_ODD_SHAPE = 2.5
_ODD_SIZE = 4.0
_LOOK = "look at them in audit.html; drop there what shows nothing, and save fixes.csv"


@dataclass(frozen=True)
class Brightness:
    """What is measured of each image's pixels; float32 [n] each.

    Attributes:
        mean: brightness, 0 to 255.
        low: what 2% of its pixels are darker than.
        high: what 98% of its pixels are darker than.
        deviation: standard deviation of its pixels' brightness.
        sharpness: logarithm of the Laplacian's standard deviation over that of the brightness.
    """

    mean: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    deviation: NDArray[np.float32]
    sharpness: NDArray[np.float32]


def measure_brightness(images: AuditedImages) -> Brightness:
    """Measures all images, in bounded chunks."""
    values = np.concatenate([_measured(pixels) for _, pixels in images.chunks()])
    return Brightness(*values.T)


def _measured(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    gray = pixels.astype(np.float32) @ _LUMA
    flat = gray.reshape(len(gray), -1)
    low, high = np.percentile(flat, [2, 98], axis=1)
    deviation = flat.std(axis=1)
    # The variance of the Laplacian (Pech-Pacheco et al., 2000), for a given contrast.
    edges = 4 * gray[:, 1:-1, 1:-1] - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    sharpness = np.log(np.maximum(edges.std(axis=(1, 2)), 1e-3) / np.maximum(deviation, 1))
    return np.stack([flat.mean(axis=1), low, high, deviation, sharpness], axis=1).astype(np.float32)


def image_findings(images: AuditedImages, measured: Brightness) -> list[Finding]:
    """The images in which there is nothing, or little, to see; and those of odd size."""
    narrow, small = _odd_sizes(images)
    empty = measured.deviation < _FLAT
    dark = ~empty & (measured.high < _DARK)
    bright = ~empty & (measured.low > _BRIGHT)
    # What was blown up is blurry of course, and reported for its size.
    blurry = ~(empty | dark | bright | small) & (measured.sharpness < _least_sharpness(measured.sharpness))
    sizes = images.all.sizes.astype(np.float64)
    shorter, ratio = sizes.min(axis=1), sizes.max(axis=1) / sizes.min(axis=1)
    checks = (
        ("low-information", empty, measured.deviation, "of one color all over: there is nothing to learn from"),
        ("dark", dark, measured.high, "almost black"),
        ("bright", bright, measured.low, "almost white"),
        ("blurry", blurry, measured.sharpness, "far blurrier than the others"),
        ("odd-shape", narrow, ratio, "of a shape unlike the others': what is at the ends is cut off"),
        ("odd-size", small, shorter, f"at most a quarter as large as usual here ({np.median(shorter):g} pixels)"),
    )
    return [_finding(images, kind, mask, values, what) for kind, mask, values, what in checks if mask.any()]


def _least_sharpness(sharpness: NDArray[np.float32]) -> float:
    median = float(np.median(sharpness))
    spread = 1.4826 * float(np.median(np.abs(sharpness - median)))
    return median - _BLURRED * max(spread, _LEAST_SPREAD)


def _odd_sizes(images: AuditedImages) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks, bool [n] each: which images are far longer or taller than is usual, and which are far smaller."""
    sizes = images.all.sizes.astype(np.float64)
    shape, shorter = np.log(sizes[:, 1] / sizes[:, 0]), sizes.min(axis=1)
    narrow = np.abs(shape - np.median(shape)) > np.log(_ODD_SHAPE)
    return narrow, ~narrow & (shorter * _ODD_SIZE <= np.median(shorter))


def _finding(
    images: AuditedImages, kind: str, mask: NDArray[np.bool_], values: NDArray[np.floating], what: str
) -> Finding:
    positions = np.flatnonzero(mask)
    verb = "is" if len(positions) == 1 else "are"
    summary = f"{counted(len(positions), 'image')} {verb} {what}"
    return Finding(kind, "warning", summary, _LOOK, images.alone(positions, values))
