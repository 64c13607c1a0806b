"""What a decoding process is asked and what it answers: one line of JSON each, by these schemas.

`saccade.data.decoding.decode_pool` and `saccade.data.decoding.decode_worker` both import this file. The first line that
a decoding process reads is a `Preprocessing`. The contents of images follow a `DecodeRequest`; the pixels follow a
`DecodeResponse`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from saccade.data.decoding.decode import ImageHeader


@dataclass(frozen=True)
class Ready:
    """The decoding process has read its `Preprocessing` and waits for requests."""

    ready: Literal[True] = True


@dataclass(frozen=True)
class DecodeRequest:
    """Decode a chunk of n images.

    Attributes:
        images: of each the path of a file, or the number of bytes of its contents, which follow the line.
    """

    images: tuple[str | int, ...]


@dataclass(frozen=True)
class DecodeResponse:
    """What became of a chunk of n images; the pixels, uint8 [n, height, width, 3], follow the line.

    Attributes:
        hashes: as in `DecodedChunk`.
        headers: as in `DecodedChunk`.
        reasons: as in `DecodedChunk`.
    """

    hashes: tuple[str, ...]
    headers: tuple[ImageHeader, ...]
    reasons: tuple[str | None, ...]


@dataclass(frozen=True)
class HeaderRequest:
    """Read the headers of files.

    Attributes:
        paths: of the files.
    """

    paths: tuple[str, ...]


@dataclass(frozen=True)
class HeaderResponse:
    """What the headers say.

    Attributes:
        headers: of each file whose header can be read.
    """

    headers: tuple[ImageHeader, ...]


Request = DecodeRequest | HeaderRequest
