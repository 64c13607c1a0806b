"""Pictures, in files or as bytes: reads, hashes and decodes them, a chunk at a time, in whatever process this runs."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import PictureRule
from saccade.data.decoding.decode import PictureFacts, decode, probe
from saccade.data.decoding.resource_limits import bounded_time
from saccade.errors import PictureError

LARGEST_FILE = 1 << 30
"""Bytes; the largest picture under the cap on pixels is smaller than this even where nothing is compressed."""

_NO_FACTS = PictureFacts("", "", 0, 0)


@dataclass(frozen=True)
class DecodedChunk:
    """What became of a chunk of n pictures, in their order.

    Attributes:
        pixels: uint8 array of shape [n, height, width, 3]; zeros where a file was refused.
        hashes: content hashes of the files; empty where a file could not be read at all.
        facts: of each picture; empty and zero where it was refused.
        reasons: why a file was refused, or None.
    """

    pixels: NDArray[np.uint8]
    hashes: Sequence[str]
    facts: Sequence[PictureFacts]
    reasons: Sequence[str | None]


def content_hash(contents: bytes) -> str:
    """The first 128 bits of the SHA-256 of a picture's contents, as 32 hexadecimal digits."""
    return hashlib.sha256(contents).hexdigest()[:32]


def read_picture(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        PictureError: if it can't be read, is no regular file, or is too large to be a picture.
    """
    try:
        # Opening a named pipe would wait for ever without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise PictureError("not a regular file")
            if facts.st_size > LARGEST_FILE:
                raise PictureError(f"too large: a file of {facts.st_size // 1_000_000:,} MB")
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PictureError(f"the file can't be read: {error.strerror}") from None
    except ValueError:
        raise PictureError("the file can't be read: there is a null character in its path") from None


def decode_chunk(pictures: Sequence[str | bytes], rule: PictureRule) -> DecodedChunk:
    """Reads, hashes and decodes pictures, paths of files or their contents; never raises for the sake of one of them.

    Each is decoded within bounds of time that end the process: this is for processes that may be lost.
    """
    pixels = np.zeros((len(pictures), rule.height, rule.width, 3), np.uint8)
    hashes, facts, reasons = [], [], []
    for position, picture in enumerate(pictures):
        contents_hash, picture_facts, reason = "", _NO_FACTS, None
        try:
            contents = picture if isinstance(picture, bytes) else read_picture(picture)
            contents_hash = content_hash(contents)
            with bounded_time():
                pixels[position], picture_facts = decode(contents, rule)
        except PictureError as error:
            reason = error.problem
        hashes.append(contents_hash)
        facts.append(picture_facts)
        reasons.append(reason)
    return DecodedChunk(pixels, hashes, facts, reasons)


def probe_chunk(paths: Sequence[str]) -> list[PictureFacts]:
    """The facts of those files at these paths whose header can be read, within the same bounds."""
    facts = []
    for path in paths:
        with suppress(PictureError):
            contents = read_picture(path)
            with bounded_time():
                facts.append(probe(contents))
    return facts


def refused_chunk(reason: str, rule: PictureRule) -> DecodedChunk:
    """A chunk of one file that was refused for this reason without being read."""
    return DecodedChunk(np.zeros((1, rule.height, rule.width, 3), np.uint8), [""], [_NO_FACTS], [reason])
