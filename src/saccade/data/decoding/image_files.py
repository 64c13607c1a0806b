"""Images, in files or as bytes: reads, hashes and decodes them, a chunk at a time, in whatever process this runs."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader, decode, read_header
from saccade.data.decoding.resource_limits import bounded_time
from saccade.errors import ImageError

LARGEST_FILE = 1 << 30
"""Bytes; the largest image under the cap on pixels is smaller than this even where nothing is compressed."""

_NO_HEADER = ImageHeader("", "", 0, 0)


@dataclass(frozen=True)
class DecodedChunk:
    """What became of a chunk of n images, in their order.

    Attributes:
        pixels: uint8 array of shape [n, height, width, 3]; zeros where a file was refused.
        hashes: content hashes of the files; empty where a file could not be read at all.
        headers: of each image; empty and zero where it was refused.
        reasons: why a file was refused, or None.
    """

    pixels: NDArray[np.uint8]
    hashes: Sequence[str]
    headers: Sequence[ImageHeader]
    reasons: Sequence[str | None]


def content_hash(contents: bytes) -> str:
    """The first 128 bits of the SHA-256 of an image's contents, as 32 hexadecimal digits."""
    return hashlib.sha256(contents).hexdigest()[:32]


def read_image(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        ImageError: if it can't be read, is no regular file, or is too large to be an image.
    """
    try:
        # Opening a named pipe would wait for ever without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not a regular file")
            if status.st_size > LARGEST_FILE:
                raise ImageError(f"too large: a file of {status.st_size // 1_000_000:,} MB")
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ImageError(f"the file can't be read: {error.strerror}") from None
    except ValueError:
        raise ImageError("the file can't be read: there is a null character in its path") from None


def decode_chunk(images: Sequence[str | bytes], preprocessing: Preprocessing) -> DecodedChunk:
    """Reads, hashes and decodes images, paths of files or their contents; never raises for the sake of one of them.

    Each is decoded within bounds of time that end the process: this is for processes that may be lost.
    """
    pixels = np.zeros((len(images), preprocessing.height, preprocessing.width, 3), np.uint8)
    hashes, headers, reasons = [], [], []
    for position, image in enumerate(images):
        contents_hash, header, reason = "", _NO_HEADER, None
        try:
            contents = image if isinstance(image, bytes) else read_image(image)
            contents_hash = content_hash(contents)
            with bounded_time():
                pixels[position], header = decode(contents, preprocessing)
        except ImageError as error:
            reason = error.problem
        hashes.append(contents_hash)
        headers.append(header)
        reasons.append(reason)
    return DecodedChunk(pixels, hashes, headers, reasons)


def read_header_chunk(paths: Sequence[str]) -> list[ImageHeader]:
    """The facts of those files at these paths whose header can be read, within the same bounds."""
    headers = []
    for path in paths:
        with suppress(ImageError):
            contents = read_image(path)
            with bounded_time():
                headers.append(read_header(contents))
    return headers


def unreadable_chunk(reason: str, preprocessing: Preprocessing) -> DecodedChunk:
    """A chunk of one file that was refused for this reason without being read."""
    return DecodedChunk(
        np.zeros((1, preprocessing.height, preprocessing.width, 3), np.uint8), [""], [_NO_HEADER], [reason]
    )
