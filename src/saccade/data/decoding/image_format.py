"""Detection of the image format by the first bytes of a file, never by the file's name."""

from __future__ import annotations

import re

from saccade.errors import ImageError

# Lengths in bytes of the BMP headers that Pillow reads; the two letters BM alone would match any text.
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_BEGINNINGS = (
    ((b"\xff\xd8\xff",), "JPEG"),
    ((b"\x89PNG\r\n\x1a\n",), "PNG"),
    ((b"GIF87a", b"GIF89a"), "GIF"),
    ((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), "TIFF"),  # with "+": BigTIFF
)
_SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\xfd7zXZ", "xz data"),
    (b"RIFF", "an audio or video file"),
    (b"\x1aE\xdf\xa3", "a video file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_OTHER_FORMATS = (
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "Icon"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xffO\xffQ", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
)
_TEXT = re.compile(rb"[\t\n\r\f\x20-\x7e\x80-\xff]+")


def detect_format(encoded: bytes) -> str:
    """Return the format of an encoded image: "JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "AVIF" or "HEIC".

    Raises:
        ImageError: the format is another one; the reason names the probable format.
    """
    for beginnings, file_format in _BEGINNINGS:
        if encoded.startswith(beginnings):
            return file_format
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return "WebP"
    if encoded.startswith(b"BM") and int.from_bytes(encoded[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if brands := _brands(encoded):
        # AVIF files often list the general brand mif1 first.
        return "AVIF" if brands & _AVIF_BRANDS else "HEIC"
    raise ImageError(_unreadable_reason(encoded))


def _unreadable_reason(encoded: bytes) -> str:
    if not encoded:
        return "empty file"
    for signature, name in _OTHER_FORMATS:
        if encoded.startswith(signature):
            return f"{name} images are not supported: convert them to JPEG or PNG"
    return f"not an image: it looks like {_describe(encoded)}"


def _brands(encoded: bytes) -> frozenset[bytes]:
    """Return the brands of AVIF and HEIC in the file type box of an encoded image; empty for another file."""
    if encoded[4:8] != b"ftyp":
        return frozenset()
    length = min(int.from_bytes(encoded[:4], "big"), 256)
    brands = frozenset(encoded[start : start + 4] for start in range(8, length, 4))
    return brands & (_AVIF_BRANDS | _HEIC_BRANDS)


def _describe(encoded: bytes) -> str:
    start = encoded[:512]
    for signature, description in _SIGNATURES:
        if start.startswith(signature):
            return description
    if start[4:8] == b"ftyp":
        return "a video file"
    if not _TEXT.fullmatch(start):
        return "unknown binary data"
    return _describe_text(start)


def _describe_text(start: bytes) -> str:
    words = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if words.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if b"<svg" in words:
        return "an SVG drawing"
    return "XML" if words.startswith(b"<?xml") else "text"


def webp_canvas(encoded: bytes) -> tuple[int, int] | None:
    """Return the width and height in a WebP header, or None where the header has none.

    Pillow allocates the whole canvas when it opens the file, so the number of pixels is checked before.
    """
    kind = encoded[12:16]
    if len(encoded) < 30:
        return None
    if kind == b"VP8X":
        return int.from_bytes(encoded[24:27], "little") + 1, int.from_bytes(encoded[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(encoded[26:28], "little") & 0x3FFF, int.from_bytes(encoded[28:30], "little") & 0x3FFF
    return None
