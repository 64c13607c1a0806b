"""Speed of the search of `saccade similar` among many images whose features are in the cache.

    python benchmarks/similar_search.py [--images 100000] [--repeats 7]

A small network makes features of 1,280 values of random images, which the feature extractor writes into a cache of its
own, as for a folder of photographs. Then one image is searched. It measures

- the search of a command: the index of the cache is read, each feature is compared, and the 20 nearest images are
  compared again in float64. Decoding the images of the data, which `saccade similar` finds in the cache too, and the
  start of Python are not part of this;
- the search with an index that is read already, as for a second query of one process;
- a matrix product of NumPy of the same features, in one memory map of one file, with one vector: it has no norms, no
  index and no order, so that no exact search is faster;
- the sum of an array in memory of the same size, whose bytes per second are a bound for reading.

The memory maps are in the page cache of the system, and a first repeat of each is not counted. Processor time is that
of all threads; beside other programs it changes less than the time of the clock.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from processes import at_least_one
from results import Result, add_results_option, keep_results

from saccade.data.dataset import Dataset, Preprocessing, Split
from saccade.keras_loading import load_keras_quietly
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.similar import nearest_images
from saccade.training.transfer_learning.features import FeatureExtractor

_SIDE = 8
_WIDTH = 1280
_TOP = 20


def main() -> None:
    """Fill a cache, measure, print and save the results."""
    parser = argparse.ArgumentParser(description="Speed of the search of similar images.")
    parser.add_argument("--images", type=at_least_one, default=100_000, help="number of images")
    parser.add_argument("--repeats", type=at_least_one, default=7, help="number of measurements")
    add_results_option(parser)
    options = parser.parse_args()
    load_keras_quietly()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SACCADE_CACHE"] = folder
        results = measure(options.images, options.repeats, Path(folder) / "features.npy")
    keep_results("similar_search", results, options.results)


def measure(num_images: int, repeats: int, file: Path) -> list[Result]:
    """Fill the cache, and measure the search and its bounds.

    Args:
        num_images: number of images.
        repeats: number of measurements.
        file: new file for the features in one memory map.
    """
    images = random_images(num_images)
    extract = extractor()
    features = np.lib.format.open_memmap(file, "w+", np.float32, (num_images, _WIDTH))
    extract(images, False, lambda _: None, features)
    features.flush()
    query = images.subset(np.array([num_images // 2]))
    dataset = Dataset("random", "random", ("random",), {"train": images}, Preprocessing(_SIDE, _SIDE), "")
    names = [""] * num_images

    def search(extract: FeatureExtractor) -> np.ndarray:
        return nearest_images(query, EmbeddedData(dataset, images, names, names, "random", extract), _TOP).positions

    mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    direction = np.array(mapped[num_images // 2])
    in_memory = np.array(mapped)
    # The extractors are made before: their network is no part of a search.
    fresh = iter([extractor() for _ in range(repeats + 1)])
    command, command_processor = seconds(lambda: search(next(fresh)), repeats)
    again, again_processor = seconds(lambda: search(extract), repeats)
    product, product_processor = seconds(lambda: mapped @ direction, repeats)
    reading, _ = seconds(in_memory.sum, repeats)
    what = f"{num_images:,} x {_WIDTH:,} features"
    rates = [in_memory.nbytes / 1e9 / second for second in command]
    return [
        Result(what, "search of a command", "s", command),
        Result(what, "search of a command, processor time", "s", command_processor),
        Result(what, "search with the index in memory", "s", again),
        Result(what, "search with the index in memory, processor time", "s", again_processor),
        Result(what, "matrix product of NumPy", "s", product),
        Result(what, "matrix product of NumPy, processor time", "s", product_processor),
        Result(what, "search of a command relative to the matrix product", "ratio", ratios(command, product)),
        Result(what, "search with the index in memory relative to the matrix product", "ratio", ratios(again, product)),
        Result(what, "features that the search of a command reads", "GB/s", rates),
        Result(what, "sum of an array", "GB/s", [in_memory.nbytes / 1e9 / second for second in reading]),
    ]


def random_images(count: int) -> Split:
    """Return images of random pixels, each with a hash of its own."""
    rng = np.random.default_rng(0)
    return Split(
        store=rng.integers(0, 256, (count, _SIDE, _SIDE, 3), np.uint8),
        rows=np.arange(count),
        labels=np.zeros(count, np.int64),
        names=[f"random/{number:09}.jpg" for number in range(count)],
        hashes=[rng.bytes(32).hex() for _ in range(count)],
        sizes=np.full((count, 2), _SIDE, np.int32),
        modes=["RGB"] * count,
        formats=["JPEG"] * count,
        duplicate_groups=np.arange(count),
    )


def extractor() -> FeatureExtractor:
    """Return the extractor of a network of one dense layer."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((_SIDE, _SIDE, 3))
    network = keras.Model(inputs, keras.layers.Dense(_WIDTH, activation="relu")(keras.layers.Flatten()(inputs)))
    return FeatureExtractor(network, "random", Preprocessing(_SIDE, _SIDE), "random")


def seconds(call: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Return the wall-clock seconds and the processor seconds of each call after a first call."""
    call()
    times, processor = [], []
    for _ in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        call()
        times.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    return times, processor


def ratios(values: list[float], others: list[float]) -> list[float]:
    """Return the ratio of each value to the other value of the same repeat."""
    return [value / other for value, other in zip(values, others, strict=True)]


if __name__ == "__main__":
    main()
