"""Encoded images for the tests of the data package."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def photo(height=48, width=64, seed=0):
    """Return an RGB image with smooth shapes and noise, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(5 * x + k + seed) * np.cos(4 * y - k) for k in range(3)]
    noise = rng.normal(0, 0.05, (height, width, 3))
    return np.uint8(np.clip(128 + 100 * (np.stack(waves, axis=2) + noise), 0, 255))


def encode(image, kind, **options):
    """Return the bytes of an image in a format of Pillow."""
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, kind, **options)
    return stream.getvalue()


def write(path: Path, contents: bytes) -> Path:
    """Write a file and create its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def class_folder(root: Path, classes=("cat", "dog"), count=10, size=(32, 32), start=0):
    """Create class folders with different PNGs and return the root."""
    for label, name in enumerate(classes):
        for number in range(start, start + count):
            contents = encode(photo(size[0], size[1], seed=1000 * label + number), "PNG")
            write(root / name / f"{number:03}.png", contents)
    return root


def over_white(contents):
    """Return Pillow's pixels after the EXIF orientation, composited over white: uint8 [height, width, 3].

    Pillow clips 16-bit gray. For such images the result has the high byte, and the 16-bit samples give the transparent
    pixels of a tRNS chunk.
    """
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    if image.mode == "I;16":
        gray = np.asarray(image)
        image = Image.fromarray(np.uint8(gray // 256)).convert("RGBA")
        image.putalpha(Image.fromarray(np.uint8(255 * (gray != image.info.get("transparency", -1)))))
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def tree(root, *paths):
    """Write a file with its path as contents for each path, or make a folder for a path that ends in a slash."""
    for path in paths:
        if path.endswith("/"):
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            write(root / path, path.encode())
    return root
