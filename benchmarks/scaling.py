"""Time and memory of commands on more and more images, and of the first reading of very many files.

    python benchmarks/scaling.py commands [--sizes 1000 3000 10000 30000 100000] [--side 32] [--repeats 1]
    python benchmarks/scaling.py files [--files 500000]
    python benchmarks/scaling.py folder FOLDER

The first two make small, distinct JPEG files of colored squares, of ten classes, in a temporary folder (`--work FOLDER`
names another place), and delete them afterward.

`commands` runs `explore`, `train` (the same recipe, pixels and passes over the images), `predict` and `audit` on each
number of images, each from an empty cache and with `--stream` (`predict` always decodes so). It fits the exponent b of
time = a n^b by least squares of the logarithms, with its 95% interval. The gate is an upper limit of at most 1.1. The
time is processor time, which other work on the machine changes little; the time by the clock is printed beside it.

`files` lists and fingerprints the files for `--stream`: from an empty cache, for a second time, and after a hundredth
of the files has changed; and the same for a tenth of the files, to compare the memory. These files have their own
splits, so that no near-duplicates are searched.

`folder` measures the first and the second reading of the files of a folder for `--stream`, the first reading into the
cache, and the bytes that the cache keeps of them. The gate: hashes, duplicate groups and all pixels are equal in both.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from processes import SACCADE, Finished, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

_CLASSES = 10
_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
_FILES = 500_000
_SQUARES = 8  # in a row of an image
_MAX_EXPONENT = 1.1
_RECIPE = ("--recipe", "folder", "--epochs", "1", "--seed", "1")
_LISTING = """
import sys
from saccade.data.load import load
from saccade.data.reading_options import ReadingOptions
print(load(sys.argv[1], reading=ReadingOptions(stream=True)).fingerprint)
"""

_INTO_THE_CACHE = """
import sys
from saccade.data.load import load
load(sys.argv[1])
"""
_COMPARISON = """
import sys
import numpy as np
from saccade.data.load import load
from saccade.data.reading_options import ReadingOptions
streamed, cached = load(sys.argv[1], reading=ReadingOptions(stream=True)), load(sys.argv[1])
assert streamed.fingerprint == cached.fingerprint
for name, images in streamed.splits.items():
    expected = cached.splits[name]
    assert list(images.hashes) == list(expected.hashes)
    assert (images.labels == expected.labels).all()
    assert (images.duplicate_groups == expected.duplicate_groups).all()
    order = np.random.default_rng(0).permutation(len(images))
    parts = [order[start : start + 500] for start in range(0, len(images), 500)]
    for pixels, expected_pixels in zip(images.batches(parts), expected.batches(parts), strict=True):
        np.testing.assert_array_equal(pixels, expected_pixels)
print(sum(len(images) for images in streamed.splits.values()))
"""


def main() -> None:
    """Measure, print and save the results; exit code 1 if an exponent is above the gate."""
    parser = argparse.ArgumentParser(description="Time and memory of commands on many images.")
    parser.add_argument("what", choices=("commands", "files", "folder"))
    parser.add_argument("folder", type=Path, nargs="?", help="existing images, for the measurement `folder`")
    parser.add_argument("--sizes", type=at_least_one, nargs="+", default=_SIZES, help="numbers of images")
    parser.add_argument("--files", type=at_least_one, default=_FILES, help="number of files")
    parser.add_argument("--side", type=at_least_one, default=32, help="side of the images, in pixels")
    parser.add_argument("--repeats", type=at_least_one, default=1)
    parser.add_argument("--work", type=Path, help="existing folder for the files")
    add_results_option(parser)
    options = parser.parse_args()
    if (options.what == "folder") != (options.folder is not None):
        parser.error("`folder` needs the path of a folder, and the other measurements take none")
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        folder = Path(work)
        os.environ["SACCADE_CACHE"] = f"{work}/cache"
        if options.what == "folder":
            keep_results("scaling", measure_folder(options.folder, folder / "cache"), options.results)
            return
        if options.what == "files":
            keep_results("scaling", measure_files(folder, options.files, options.side), options.results)
            return
        results = measure_commands(folder, options.sizes, options.side, options.repeats)
    keep_results("scaling", results, options.results)
    missed = [
        result
        for result in results
        if result.quantity == "exponent of the processor time" and max(result.values) > _MAX_EXPONENT
    ]
    if missed:
        sys.exit(
            f"gate missed: {', '.join(result.subject for result in missed)} with an exponent above {_MAX_EXPONENT}"
        )


def make_image(path: Path, seed: int, label: int, side: int) -> None:
    """Write an image of 64 squares of random colors; four squares have the color of the class, which can be learned."""
    squares = np.random.default_rng(seed).integers(0, 256, (_SQUARES, _SQUARES, 3), np.uint8)
    squares[:2, :2] = 25 * label
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(squares).resize((side, side), Image.Resampling.NEAREST).save(path, quality=80)


def image_path(data: Path, number: int, *, with_splits: bool) -> Path:
    """Return the path of an image in its class folder, of eight training images for each validation and test image."""
    split = (*["train"] * 8, "validation", "test")[number // _CLASSES % 10]
    return (data / split if with_splits else data) / f"class{number % _CLASSES}/{number:07}.jpg"


def measure_commands(folder: Path, sizes: Sequence[int], side: int, repeats: int) -> list[Result]:
    """Return the times of each command on each number of images, and the exponents."""
    data, made = folder / "data", 0
    found: dict[str, list[tuple[int, Finished]]] = {}
    results = []
    for size in sorted(sizes):
        for number in range(made, size):
            make_image(image_path(data, number, with_splits=False), number, number % _CLASSES, side)
        made = size
        for command, words in commands(data, folder / "runs/run").items():
            finished = []
            for _ in range(repeats):
                if command == "train":
                    shutil.rmtree(folder / "runs", ignore_errors=True)
                shutil.rmtree(folder / "audit", ignore_errors=True)
                shutil.rmtree(folder / "cache", ignore_errors=True)
                finished.append(timed([*SACCADE, *words]))
            found.setdefault(command, []).extend((size, each) for each in finished)
            subject = f"{command}, {size:,} images"
            results += [
                Result(subject, "processor time", "s", [each.processor_seconds for each in finished]),
                Result(subject, "time", "s", [each.seconds for each in finished]),
                Result(subject, "peak memory", "MB", [each.peak_memory_mb for each in finished]),
            ]
    for command, pairs in found.items():
        if len(pairs) > 2:
            points = {"processor time": [each.processor_seconds for _, each in pairs]}
            points["time"] = [each.seconds for _, each in pairs]
            results += exponents(command, [size for size, _ in pairs], points)
    return results


def commands(data: Path, run: Path) -> Mapping[str, Sequence[str]]:
    """Return the measured command lines, without `saccade`, in the order in which they run."""
    folder = str(data)
    return {
        "explore": ["explore", folder, "--stream"],
        "train": ["train", folder, *_RECIPE, "--stream", "--out", str(run)],
        "predict": ["predict", str(run), folder, "--json"],
        "audit": ["audit", folder, "--folds", "0", "--stream", "--out", str(run.parent.parent / "audit")],
    }


def exponents(command: str, sizes: Sequence[int], times: Mapping[str, Sequence[float]]) -> list[Result]:
    """Return the exponent of each kind of time as a result of three values: lower limit, estimate, upper limit."""
    found = []
    for kind, seconds in times.items():
        low, exponent, high = fit_exponent(sizes, seconds)
        note = "estimate, and the limits of its 95% interval"
        found.append(Result(command, f"exponent of the {kind}", "exponent", [exponent, low, high], note))
    return found


def fit_exponent(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower 95% limit, the estimate and the upper limit of b in seconds = a sizes^b.

    The estimate is that of least squares of the logarithms, the interval that of Student's t-distribution. Three
    sizes are the fewest.
    """
    from scipy.stats import t  # imported here, because the memory of a command counts from that of this process

    x, y = np.log(sizes), np.log(seconds)
    deviations = x - x.mean()
    slope = float(deviations @ y / (deviations @ deviations))
    residuals = y - y.mean() - slope * deviations
    error = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / float(deviations @ deviations))
    half = float(t.ppf(0.975, len(x) - 2)) * error
    return slope - half, slope, slope + half


def measure_files(folder: Path, files: int, side: int) -> list[Result]:
    """Return the times and the memory of the first and of later readings of many files, and of a tenth of them."""
    results, made = [], 0
    data = folder / "data"
    for count in (max(files // 10, 10 * _CLASSES), max(files, 10 * _CLASSES)):
        for number in range(made, count):
            make_image(image_path(data, number, with_splits=True), number, number % _CLASSES, side)
        made = count
        shutil.rmtree(folder / "cache", ignore_errors=True)
        results += _readings(f"{count:,} files", data, count, side)
    return results


def measure_folder(data: Path, cache: Path) -> list[Result]:
    """Return the times of the readings of an existing folder, and the bytes that the cache keeps.

    Raises:
        SaccadeError: an image has other pixels, or another hash or group, in a stream than in the cache.
    """
    listing = [sys.executable, "-c", _LISTING, str(data)]
    readings = {"first reading": timed(listing)}
    kept = {
        path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in cache.iterdir()
    }
    readings["second reading"] = timed(listing)
    shutil.rmtree(cache)
    readings["first reading into the cache"] = timed([sys.executable, "-c", _INTO_THE_CACHE, str(data)])
    images = int(timed([sys.executable, "-c", _COMPARISON, str(data)]).output)
    subject = f"{data.name}, {images:,} images"
    results = []
    for name, finished in readings.items():
        results += [
            Result(subject, f"{name}, processor time", "s", [finished.processor_seconds]),
            Result(subject, f"{name}, time", "s", [finished.seconds]),
            Result(subject, f"{name}, peak memory", "MB", [finished.peak_memory_mb]),
        ]
    for name, size in sorted(kept.items()):
        results.append(Result(subject, f"kept of an image for streams, in {name}", "kB", [size / images / 1000]))
    return results


def _readings(subject: str, data: Path, files: int, side: int) -> list[Result]:
    command = [sys.executable, "-c", _LISTING, str(data)]
    readings = {"first reading": timed(command), "second reading": timed(command)}
    for number in range(0, files, 100):
        make_image(image_path(data, number, with_splits=True), files + number, number % _CLASSES, side)
    readings["reading after a hundredth has changed"] = timed(command)
    results = []
    for name, finished in readings.items():
        per = 100_000 / files
        results += [
            Result(subject, f"{name}, processor time for 100,000", "s", [finished.processor_seconds * per]),
            Result(subject, f"{name}, time for 100,000", "s", [finished.seconds * per]),
            Result(subject, f"{name}, peak memory", "MB", [finished.peak_memory_mb]),
        ]
    return results


if __name__ == "__main__":
    run_program(main)
