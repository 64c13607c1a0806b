"""Reading, hashing and decoding of a chunk of images, files or bytes, in the current process."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader, decode, read_header
from saccade.data.decoding.resource_limits import MemoryLimits, time_limit
from saccade.errors import ImageError

MAX_FILE_SIZE = 1 << 30
"""Largest file that is read, in bytes: more than an uncompressed image of the largest allowed number of pixels."""

_NO_HEADER = ImageHeader("", "", 0, 0)
# Without O_NONBLOCK, to open a named pipe would wait for ever. Windows has no O_NONBLOCK, and needs O_BINARY.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Remark(NamedTuple):
    """What few images have: 16-bit gray samples, or a color profile that can't be used.

    Attributes:
        used_bits: as in `Decoded`.
        has_unusable_profile: as in `Decoded`.
    """

    used_bits: int
    has_unusable_profile: bool


@dataclass(frozen=True)
class DecodedChunk:
    """Decoded chunk of n images, in the order of the request.

    Attributes:
        pixels: array of shape [n, height, width, 3], uint8; zeros for an unreadable image. Without images, [0, height,
            width, 3], if the pixels were written to a file.
        hashes: n content hashes; empty for a file that could not be read.
        headers: n headers; empty strings and zeros for an unreadable image.
        reasons: n reasons why an image is unreadable; None for a decoded image.
        remarks: n remarks; None for most images.
    """

    pixels: NDArray[np.uint8]
    hashes: Sequence[str]
    headers: Sequence[ImageHeader]
    reasons: Sequence[str | None]
    remarks: Sequence[Remark | None]


def content_hash(contents: bytes) -> str:
    """Return the first 128 bits of the SHA-256 of an image's contents, as 32 hexadecimal digits."""
    return hashlib.sha256(contents).hexdigest()[:32]


def read_image(path: str) -> bytes:
    """Return the bytes of a file.

    Raises:
        ImageError: the file can't be read, is not a regular file, or is too large for an image.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not a regular file")
            if status.st_size > MAX_FILE_SIZE:
                raise ImageError(f"too large: a file of {status.st_size // 1_000_000:,} MB")
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ImageError(f"the file can't be read: {error.strerror}") from None
    except ValueError:
        raise ImageError("the file can't be read: there is a null character in its path") from None


def decode_chunk(
    images: Sequence[str | bytes], preprocessing: Preprocessing, limits: MemoryLimits | None = None
) -> DecodedChunk:
    """Read, hash and decode images, given as paths or as contents; an unreadable image gets a reason.

    The time limit for each image ends the process, so this function is for worker processes only.

    Args:
        images: paths or contents.
        preprocessing: preprocessing of the images.
        limits: limits of the memory of this process; None: no limits.
    """
    limits = limits or MemoryLimits()
    pixels = np.zeros((len(images), preprocessing.height, preprocessing.width, 3), np.uint8)
    hashes, headers, reasons, remarks = [], [], [], []
    for position, image in enumerate(images):
        image_hash, header, reason, remark = "", _NO_HEADER, None, None
        try:
            contents = image if isinstance(image, bytes) else read_image(image)
            image_hash = content_hash(contents)
            with time_limit(), limits.of(contents):
                decoded = decode(contents, preprocessing)
            pixels[position], header = decoded.pixels, decoded.header
            if decoded.used_bits or decoded.has_unusable_profile:
                remark = Remark(decoded.used_bits, decoded.has_unusable_profile)
        except ImageError as error:
            reason = error.problem
        hashes.append(image_hash)
        headers.append(header)
        reasons.append(reason)
        remarks.append(remark)
    return DecodedChunk(pixels, hashes, headers, reasons, remarks)


def read_header_chunk(images: Sequence[str | bytes]) -> list[ImageHeader]:
    """Return the headers of the images whose header can be read, within the time limit of `decode_chunk`."""
    headers = []
    for image in images:
        with suppress(ImageError):
            contents = image if isinstance(image, bytes) else read_image(image)
            with time_limit():
                headers.append(read_header(contents))
    return headers


def unreadable_chunk(reason: str, preprocessing: Preprocessing, *, without_pixels: bool = False) -> DecodedChunk:
    """Return the chunk of one unreadable image; without its zeros where the pixels of a chunk are in a file."""
    pixels = np.zeros((0 if without_pixels else 1, preprocessing.height, preprocessing.width, 3), np.uint8)
    return DecodedChunk(pixels, [""], [_NO_HEADER], [reason], [None])
