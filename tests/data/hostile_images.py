"""Hostile images: mutations of real files, and decompression bombs, decoded within limits.

    python -m tests.data.hostile_images mutations 5000 1 > tests/data/mutations.csv
    python -m tests.data.hostile_images mutations 6000 1 TIFF AVIF HEIC
    python -m tests.data.hostile_images bombs > tests/data/bombs.csv

Each image is decoded in a child process with the memory limit of the decoding processes and a limit of two seconds of
processor time. The program prints a line of CSV for each image: name, outcome, detail. It fails if a child was lost.
"""

import csv
import os
import random
import resource
import signal
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.data.images import encode, photo

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode
from saccade.data.decoding.resource_limits import limit_memory
from saccade.errors import ImageError

HEIC_FILES = Path(__file__).parent / "decoding" / "heif"
PREPROCESSING = Preprocessing(32, 32)
SECONDS = 2
IMAGES_PER_CHILD = 50


def mutated(contents, others, draw):
    """Return contents changed as by damage or by an attack on a decoder."""
    contents = bytearray(contents)
    for _ in range(draw.choice((1, 1, 2, 8, 40))):
        kind, start = draw.randrange(7), draw.randrange(len(contents) + 1)
        length = draw.randrange(1, 64)
        if kind == 0 and contents:
            contents[start % len(contents)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del contents[start:]
        elif kind == 2:
            contents[start : start + length] = draw.randbytes(length)
        elif kind == 3:
            contents[start:start] = contents[start : start + length] * draw.randrange(1, 5)
        elif kind == 4:
            del contents[start : start + length]
        elif kind == 5:  # a length, size or offset
            number = draw.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, draw.getrandbits(32)))
            start = min(start, draw.choice((64, len(contents))))
            contents[start : start + 4] = struct.pack(draw.choice("<>") + "I", number)
        else:
            other = draw.choice(others)
            other_start = draw.randrange(len(other) + 1)
            contents[start : start + length] = other[other_start : other_start + draw.randrange(1, 2000)]
    return bytes(contents)


def real_images():
    """Return small files of every format, with most modes and options, by name."""
    colors = Image.fromarray(photo(40, 56))
    variants: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "colors.jpg": (colors, "JPEG", {}),
        "progressive.jpg": (colors, "JPEG", {"progressive": True, "quality": 60}),
        "gray.jpg": (colors.convert("L"), "JPEG", {}),
        "cmyk.jpg": (colors.convert("CMYK"), "JPEG", {}),
        "colors.png": (colors, "PNG", {}),
        "transparent.png": (colors.convert("RGBA"), "PNG", {}),
        "palette.png": (colors.quantize(20), "PNG", {"transparency": 3}),
        "bits.png": (colors.convert("1"), "PNG", {}),
        "deep.png": (Image.fromarray(np.uint16(photo(40, 56)[:, :, 0]) * 257), "PNG", {}),
        "colors.gif": (colors.quantize(64), "GIF", {}),
        "moving.gif": (colors.quantize(8), "GIF", {"save_all": True, "append_images": [colors.quantize(4)]}),
        "colors.bmp": (colors, "BMP", {}),
        "palette.bmp": (colors.quantize(16), "BMP", {}),
        "lossy.webp": (colors, "WEBP", {}),
        "lossless.webp": (colors.convert("RGBA"), "WEBP", {"lossless": True}),
    }
    return {name: encode(image, kind, **options) for name, (image, kind, options) in sorted(variants.items())}


def images_of(formats):
    """Return small files of TIFF, AVIF and HEIC, with most modes and compressions, by name."""
    colors, gray = Image.fromarray(photo(40, 56)), photo(40, 56)[:, :, 0]
    by_compression = {
        f"{name or 'plain'}.tiff": encode(colors, "TIFF", compression=name)
        for name in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg")
    }
    images = {
        "TIFF": by_compression | {
            "deep.tiff": encode(Image.fromarray(np.uint16(gray) * 257), "TIFF", compression="tiff_lzw"),
            "floats.tiff": encode(Image.fromarray(np.float32(gray)), "TIFF"),
            "transparent.tiff": encode(colors.convert("RGBA"), "TIFF"),
            "palette.tiff": encode(colors.quantize(20), "TIFF"),
            "bits.tiff": encode(colors.convert("1"), "TIFF", compression="group4"),
        },
        "AVIF": {
            "colors.avif": encode(colors, "AVIF"),
            "transparent.avif": encode(colors.convert("RGBA"), "AVIF"),
            "gray.avif": encode(colors.convert("L"), "AVIF", subsampling="4:0:0"),
        },
        "HEIC": {path.name: path.read_bytes() for path in sorted(HEIC_FILES.glob("*.heic"))},
    }  # fmt: skip
    return {name: contents for kind in formats for name, contents in images[kind].items()}


def mutations(count, seed, sources):
    sources = list(sources.items())
    others = [contents for _, contents in sources]
    for number in range(count):
        name, contents = sources[number % len(sources)]
        yield f"{number:04} {name}", mutated(contents, others, random.Random(f"{seed} {number}"))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth=8, color=2, rows=None, extra=b""):
    data = zlib.compress(bytes(100) if rows is None else rows, 9)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif(width, height, frames=1, frame_size=(1, 1)):
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, *frame_size, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * frames + b";"


def bmp(width, height, bits=24, compression=0):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header + bytes(64)


def jpeg(width, height):
    contents = bytearray(encode(Image.new("RGB", (16, 16)), "JPEG"))
    at = contents.index(b"\xff\xc0")
    contents[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(contents)


def webp(width, height):
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    body = b"WEBP" + extended + encode(Image.new("RGB", (4, 4)), "WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bombs():
    """Iterate over thirty small files with a large image, or with a large size in the header."""
    largest = 2**31 - 1
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(60_000_000), 9))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(60_000_000), 9))
    yield "png: 2147483647 pixels wide and high", png(largest, largest)
    yield "png: 65535 wide and high", png(65535, 65535)
    yield "png: one row of 2147483647", png(largest, 1)
    yield "png: one column of 2147483647", png(1, largest)
    yield "png: 10000 x 10000 of one bit, in full", png(10000, 10000, 1, 0, bytes(1251 * 10000))
    yield "png: 10000 x 10000 of gray, in full", png(10000, 10000, 8, 0, bytes(10001 * 10000))
    yield "png: 9900 x 9900 of color, in full", png(9900, 9900, 8, 2, bytes((9900 * 3 + 1) * 9900))
    yield "png: 9900 x 9900 with transparency, in full", png(9900, 9900, 8, 6, bytes((9900 * 4 + 1) * 9900))
    yield "png: 7000 x 7000 of 16-bit color, in full", png(7000, 7000, 16, 2, bytes((7000 * 6 + 1) * 7000))
    yield "png: 9900 x 9900 and nothing in it", png(9900, 9900)
    yield "png: more pixels than in its header", png(8, 8, 8, 2, bytes(50_000_000))
    yield "png: a comment of 60 MB", png(8, 8, rows=bytes(25 * 8), extra=text)
    yield "png: a color profile of 60 MB", png(8, 8, rows=bytes(25 * 8), extra=profile)
    yield "png: 20 comments of 60 MB", png(8, 8, rows=bytes(25 * 8), extra=text * 20)
    yield "png: 100000 empty chunks", png(8, 8, rows=bytes(25 * 8), extra=chunk(b"tEXt", b"a\0") * 100_000)
    yield "gif: a canvas of 65535 x 65535", gif(65535, 65535)
    yield "gif: a canvas of 9900 x 9900", gif(9900, 9900)
    yield "gif: a frame larger than its canvas", gif(4, 4, frame_size=(65535, 65535))
    yield "gif: 200000 frames", gif(4, 4, frames=200_000)
    yield "bmp: 2147483647 wide and high", bmp(largest, largest)
    yield "bmp: the most negative height", bmp(9900, -largest - 1)
    yield "bmp: 9900 x 9900 and nothing in it", bmp(9900, 9900)
    yield "bmp: 9900 x 9900, run-length encoded, nothing in it", bmp(9900, 9900, 8, 1)
    yield "jpeg: 65500 x 65500", jpeg(65500, 65500)
    yield "jpeg: 9900 x 9900 and hardly anything in it", jpeg(9900, 9900)
    yield "jpeg: 10000 x 10000, in full", encode(Image.new("L", (10000, 10000)), "JPEG")
    yield "jpeg: 8000 x 8000, progressive, in full", encode(Image.new("RGB", (8000, 8000)), "JPEG", progressive=True)
    yield "webp: a canvas of 16777216 x 16777216", webp(2**24, 2**24)
    yield "webp: a canvas of 9900 x 9900", webp(9900, 9900)
    yield "webp: 9000 x 9000, in full", encode(Image.new("RGB", (9000, 9000)), "WEBP", lossless=True, method=0)


def outcome(contents, limits):
    """Return the outcome of the decoder, "decoded" or "unreadable", and the header or the reason."""
    try:
        with limits.of(contents):
            decoded = decode(contents, PREPROCESSING)
    except ImageError as error:
        return "unreadable", error.problem
    assert decoded.pixels.shape == (32, 32, 3)
    assert decoded.pixels.dtype == np.uint8
    header = decoded.header
    return "decoded", f"{header.format} {header.mode} {header.height}x{header.width}"


def in_child(images):
    """Decode images in a child with limits; yield name, outcome and detail, "lost" for an image that killed it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        limits = limit_memory(PREPROCESSING.max_pixels)
        with os.fdopen(write, "w", errors="backslashreplace") as stream:
            for _, contents in images:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                stream.write("\t".join(outcome(contents, limits)).replace("\n", " ") + "\n")
                signal.setitimer(signal.ITIMER_PROF, 0)
                stream.flush()
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        lines = [line.rstrip("\n").split("\t") for line in stream]
    _, status = os.waitpid(child, 0)
    for (name, _), (result, detail) in zip(images, lines, strict=False):
        yield name, result, detail
    if len(lines) < len(images):
        yield images[len(lines)][0], "lost", f"exit {os.waitstatus_to_exitcode(status)}"
        yield from in_child(images[len(lines) + 1 :])


def main():
    what, *rest = sys.argv[1:]
    sources = images_of(rest[2:]) if rest[2:] else real_images()
    images = list(mutations(int(rest[0]), int(rest[1]), sources) if rest else bombs())
    assert what == ("mutations" if rest else "bombs")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["name", "outcome", "detail"])
    size, lost = (IMAGES_PER_CHILD, 0) if rest else (1, 0)
    for start in range(0, len(images), size):
        for row in in_child(images[start : start + size]):
            writer.writerow(row)
            lost += row[1] == "lost"
    sys.stderr.write(f"largest child: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000} MB\n")
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()
