"""Decoding: time of a folder of images, or of one large JPEG made of photographs.

    python benchmarks/decode_speed.py FOLDER
    python benchmarks/decode_speed.py FOLDER --large-jpeg
    python benchmarks/decode_speed.py FOLDER --color-profile FILE

The first command prints the time of a first load of the folder, of a second load and of Pillow alone, and their ratios.
The file cache of the operating system is warm in all three measurements, because the files are read once before;
Saccade's cache is an empty temporary folder.

The second command tiles photographs of the folder, enlarged, to a JPEG of 12 megapixels and about 2 MB, baseline and
progressive, and prints the processor time of `decode` to 224 pixels with each fit, the lowest and the median of 15
calls. It also prints how far the pixels are from those of a JPEG that the decoder does not reduce.

The third command encodes up to 200 photographs of the folder as JPEG, without and with the ICC profile of a file, such
as that of Display P3, and prints the ratio of the processor times of `decode` to 224 pixels, in pairs.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode, fit_pixels
from saccade.data.load import load
from saccade.data.sources.image_folder import find_images
from saccade.image_fit import Fit

_LARGE = (4000, 3000)
_TILES = 4  # in a row and in a column
_FILE_SIZE = 2_050_000  # bytes, at most
_SIDE = 224
_CALLS = 15
_PROFILED = 200  # photographs
_PAIRS = 7


def main() -> None:
    """Measure the folder of the command line."""
    parser = argparse.ArgumentParser(description="Measures how fast images are decoded.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--large-jpeg", action="store_true", help="decode a JPEG of 12 megapixels made of the images")
    parser.add_argument("--color-profile", type=Path, metavar="FILE", help="ICC profile to measure")
    options = parser.parse_args()
    listing = find_images(options.folder)
    files = [listing.root / found.path for found in listing.images]
    if options.color_profile is not None:
        color_profile(files, options.color_profile.read_bytes())
        return
    if options.large_jpeg:
        measure_large_jpeg(files)
    else:
        measure_folder(options.folder, files)


def color_profile(files: Sequence[Path], profile: bytes) -> None:
    """Print the time of decoding photographs with a color profile, relative to the same photographs without one."""
    plain: list[bytes] = []
    profiled: list[bytes] = []
    for path in files[:: max(1, len(files) // _PROFILED)][:_PROFILED]:
        image = Image.open(path).convert("RGB")
        for kind, embedded in ((plain, None), (profiled, profile)):
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=90, icc_profile=embedded)
            kind.append(stream.getvalue())
    ratios = []
    for _ in range(_PAIRS):
        first, second = (_processor_time(kind) for kind in (plain, profiled))
        ratios.append(second / first)
        print(f"{1000 * first / len(plain):.2f} ms without, {1000 * second / len(plain):.2f} ms with the profile")
    print(f"ratio: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}, n = {_PAIRS}")


def _processor_time(images: Sequence[bytes]) -> float:
    preprocessing = Preprocessing(_SIDE, _SIDE, fit="pad")
    start = time.process_time()
    for image in images:
        decode(image, preprocessing)
    return time.process_time() - start


def measure_folder(folder: Path, files: Sequence[Path]) -> None:
    """Print the time of a first and a second load, and of Pillow alone."""
    for path in files:
        path.read_bytes()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SACCADE_CACHE"] = cache
        first, second = seconds(lambda: load(folder)), seconds(lambda: load(folder))
    alone = seconds(lambda: [np.asarray(Image.open(path).convert("RGB")) for path in files])
    print(f"{len(files):,} images, {os.cpu_count()} cores")
    print(f"first load      {first:7.2f} s  {first / len(files) * 1e6:7.1f} us an image")
    print(f"second load     {second:7.2f} s  {first / second:7.1f} times as fast as the first")
    print(f"Pillow, 1 core  {alone:7.2f} s  the first load is {alone / first:.1f} times as fast")


def measure_large_jpeg(files: Sequence[Path]) -> None:
    """Print the processor time of decoding a large JPEG to 224 pixels, and the error of the reduced decoding."""
    image = tiled(files)
    for progressive in (False, True):
        encoded = encoded_to(_FILE_SIZE, image, progressive=progressive)
        kind = "progressive" if progressive else "baseline"
        print(f"{kind} JPEG, {image.width}x{image.height}, {len(encoded) / 1e6:.2f} MB, to {_SIDE} pixels")
        whole = decode(encoded).pixels
        for fit in get_args(Fit):
            preprocessing = Preprocessing(_SIDE, _SIDE, fit=fit)
            times = [processor_ms(lambda: decode(encoded, preprocessing)) for _ in range(_CALLS)]  # noqa: B023
            error = decode(encoded, preprocessing).pixels.astype(float) - fit_pixels(whole, preprocessing)
            psnr = 10 * np.log10(255**2 / (error**2).mean())
            lowest, median = min(times), statistics.median(times)
            print(f"  {fit:6}  {lowest:6.1f} ms, median {median:6.1f} ms, {psnr:.1f} dB from a full decoding")


def tiled(files: Sequence[Path]) -> Image.Image:
    """Return an image of 12 megapixels: 16 photographs, enlarged to 1000x750 pixels each."""
    width, height = _LARGE[0] // _TILES, _LARGE[1] // _TILES
    large = Image.new("RGB", _LARGE)
    for number in range(_TILES**2):
        with Image.open(files[number * len(files) // _TILES**2]) as opened:
            photograph = opened.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        large.paste(photograph, (number % _TILES * width, number // _TILES * height))
    return large


def encoded_to(size: int, image: Image.Image, *, progressive: bool) -> bytes:
    """Return an image as the JPEG of the highest quality with at most `size` bytes."""
    for quality in range(98, 10, -1):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, progressive=progressive)
        if len(stream.getbuffer()) <= size:
            break
    return stream.getvalue()


def processor_ms(work: Callable[[], object]) -> float:
    """Return the processor time of a call, in milliseconds, which other processes hardly change."""
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock time of a call, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
