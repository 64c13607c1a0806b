"""Scan and decode time of a folder of images: first load, second load, and Pillow alone.

    python benchmarks/decode_speed.py FOLDER

prints seconds and their ratios. The file cache of the operating system is warm in all three measurements, because the
files are read once before; Saccade's cache is an empty temporary folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from saccade.data.load import load
from saccade.data.sources.image_folder import find_images


def main() -> None:
    """Measure the folder of the command line."""
    parser = argparse.ArgumentParser(description="Measures how fast a folder of images is decoded.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    listing = find_images(folder)
    files = [listing.root / found.path for found in listing.images]
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


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock time of a call, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
