"""Schemas of the messages between a decoding process and its parent, one line of JSON each.

`saccade.data.decoding.decode_pool` and `saccade.data.decoding.decode_worker` both import this file. The first line that
a decoding process reads is a `Preprocessing`. The contents of images follow a `DecodeRequest`; the pixels follow a
`DecodeResponse`, unless the request names a place in a file for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.image_files import Remark


@dataclass(frozen=True)
class Ready:
    """Message that the decoding process has read its `Preprocessing` and waits for requests."""

    ready: Literal[True] = True


@dataclass(frozen=True)
class Place:
    """Place in a file where the decoding process writes pixels, uint8, in the order of the images.

    Attributes:
        path: path of the file, which exists.
        offset: position of the first pixel in the file, in bytes.
    """

    path: str
    offset: int


@dataclass(frozen=True)
class DecodeRequest:
    """Request to decode a chunk of n images.

    Attributes:
        images: n paths of files, or numbers of bytes of images whose contents follow the line.
        place: place for the pixels. None: they follow the response.
    """

    images: tuple[str | int, ...]
    place: Place | None = None


@dataclass(frozen=True)
class DecodeResponse:
    """Response to a `DecodeRequest`; the pixels, uint8 [n, height, width, 3], follow the line if no file has them.

    Attributes:
        hashes: n content hashes, as in `DecodedChunk`.
        headers: n headers, as in `DecodedChunk`.
        reasons: n reasons, as in `DecodedChunk`.
        remarks: n remarks, as in `DecodedChunk`.
        unwritten: number of the error (`errno`) because of which the pixels could not be written to their file, or 0.
    """

    hashes: tuple[str, ...]
    headers: tuple[ImageHeader, ...]
    reasons: tuple[str | None, ...]
    remarks: tuple[Remark | None, ...]
    unwritten: int = 0


@dataclass(frozen=True)
class HeaderRequest:
    """Request to read the headers of images.

    Attributes:
        images: paths or numbers of bytes, as in `DecodeRequest`.
    """

    images: tuple[str | int, ...]


@dataclass(frozen=True)
class HeaderResponse:
    """Response to a `HeaderRequest`.

    Attributes:
        headers: headers of the files whose header can be read.
    """

    headers: tuple[ImageHeader, ...]


Request = DecodeRequest | HeaderRequest
