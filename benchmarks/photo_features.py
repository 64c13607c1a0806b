"""Speed and memory of the features of the recipe `photo`.

    python benchmarks/photo_features.py DATA [--images 2000] [--repeats 3]

DATA is a folder of photographs. The program uses copies of `--images` of them, or random crops where there are fewer.
It measures

- bare decoding: the images of the folder, decoded to 224x224 pixels, by all cores;
- bare inference: ONNX Runtime on images in memory, by all cores;
- the bound, 1 / (1 / decoding + 1 / inference), which nothing that decodes and then computes can exceed;
- loading and features as a training runs them, from an empty cache, with the cache written; and again from the cache;
- the search for near-duplicates, which a training makes where it cuts a split itself. The folder has all splits, so the
  search is not part of loading;
- the peak of anonymous memory of loading and features.

Bare inference is the mean of a measurement before the features and one after, because the speed of a shared machine
changes within a minute. A first repeat is not counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image
from processes import at_least_one
from results import Result, add_results_option, keep_results

from saccade.data.dataset import Preprocessing, Split
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.fit import content_boxes
from saccade.data.load import load
from saccade.data.near_duplicates.near_duplicates import find_near_duplicates
from saccade.keras_loading import load_keras_quietly
from saccade.machine import usable_cores

_SIDE = 224
_BATCH = 4


def main() -> None:
    """Make the images, measure, print and save the results."""
    parser = argparse.ArgumentParser(description="Speed of features, decoding included.")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of photographs")
    parser.add_argument("--images", type=at_least_one, default=2000, help="number of crops")
    parser.add_argument("--repeats", type=at_least_one, default=3, help="number of measurements")
    add_results_option(parser)
    options = parser.parse_args()
    load_keras_quietly()
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder) / "crops"
        _make_images(options.data, crops, options.images)
        values: dict[str, list[float]] = {}
        for repeat in range(1 + options.repeats):
            found = _measure(crops, Path(folder) / "cache")
            shutil.rmtree(Path(folder) / "cache")
            for name, value in found.items() if repeat else ():
                values.setdefault(name, []).append(value)
                print(f"{name}: {value:.4g}", flush=True)
    units = {"peak of anonymous memory": "MB", "search for near-duplicates": "s"}
    units |= {"part of the bound": "fraction", "part of bare inference": "fraction"}
    subject = f"{options.images} images of {_SIDE}x{_SIDE}"
    results = [Result(subject, name, units.get(name, "images/s"), rates) for name, rates in values.items()]
    keep_results("photo_features", results, options.results)


def _make_images(data: Path, target: Path, number: int) -> None:
    """Write photographs as JPEGs in two classes: as they are, or random crops of half to all of each side."""
    rng = np.random.default_rng(0)
    sources = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for index in range(number):
        with Image.open(sources[index % len(sources)]) as image:
            width, height = image.size
            scale = rng.uniform(0.5, 1, 2) if number > len(sources) else np.ones(2)
            left, top = rng.uniform(0, 1 - scale) * (width, height)
            right, lower = left + scale[0] * width, top + scale[1] * height
            place = target / "train" / f"class-{index % 2}"
            place.mkdir(parents=True, exist_ok=True)
            image.convert("RGB").crop((int(left), int(top), int(right), int(lower))).save(
                place / f"{index}.jpg", quality=85
            )
    for split in ("validation", "test"):
        for index in range(2):
            place = target / split / f"class-{index}"
            place.mkdir(parents=True)
            shutil.copy(target / "train" / f"class-{index}" / f"{index}.jpg", place)


def _measure(crops: Path, cache: Path) -> dict[str, float]:
    paths = [str(path) for path in sorted((crops / "train").rglob("*.jpg"))]
    n = len(paths)
    decoding = n / _seconds(lambda: _decode(paths))
    os.environ["SACCADE_CACHE"] = str(cache)
    extract = _extractor()
    with _AnonymousMemory() as of_loading:
        began = time.perf_counter()
        images = load(crops, image_size=_SIDE).splits["train"]
        loading = n / (time.perf_counter() - began)
    before = _bare_inference(images)
    with _AnonymousMemory() as of_features:
        computed = n / _seconds(lambda: extract(images, False, lambda _: None))
    inference = (before + _bare_inference(images)) / 2
    boxes = content_boxes(images.sizes, Preprocessing(_SIDE, _SIDE, fit="pad"))
    search = _seconds(lambda: find_near_duplicates(images.store, images.rows, images.hashes, boxes=boxes))
    again = n / _seconds(lambda: extract(images, False, lambda _: None))
    together, bound = 1 / (1 / loading + 1 / computed), 1 / (1 / decoding + 1 / inference)
    return {
        "bare decoding": decoding,
        "bare inference": inference,
        "loading": loading,
        "features": computed,
        "loading and features": together,
        "part of the bound": together / bound,
        "part of bare inference": together / inference,
        "features from the cache": again,
        "search for near-duplicates": search,
        "peak of anonymous memory": max(of_loading.peak_mb, of_features.peak_mb),
    }


def _decode(paths: list[str]) -> None:
    with closing(decode_files(paths, Preprocessing(_SIDE, _SIDE))) as chunks:
        for _ in chunks:
            pass


def _extractor() -> Callable[[Split, bool, Callable[[int], object]], object]:
    from saccade.models.head import without_head
    from saccade.models.networks import efficientnet_lite
    from saccade.models.pretrained.imagenet import imagenet_weights
    from saccade.models.weights import assign
    from saccade.training.transfer_learning.features import FeatureExtractor

    network = efficientnet_lite.build(_SIDE, _SIDE, 1000)
    assign(network, imagenet_weights())
    return FeatureExtractor(without_head(network), "benchmark", Preprocessing(_SIDE, _SIDE), "benchmark")


def _bare_inference(images: Split, number: int = 512) -> float:
    """Return images per second of ONNX Runtime on images in memory, by one thread for each core."""
    from saccade.models.head import without_head
    from saccade.models.networks import efficientnet_lite
    from saccade.models.onnx.to_onnx import INPUT, to_onnx
    from saccade.models.pretrained.imagenet import imagenet_weights
    from saccade.models.weights import assign
    from saccade.onnx_session import open_session

    network = efficientnet_lite.build(_SIDE, _SIDE, 1000)
    assign(network, imagenet_weights())
    session = open_session(to_onnx(without_head(network), {}), threads=1)
    pixels = images.take(slice(0, number)).astype(np.float32)
    batches = [pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)]
    session.run(None, {INPUT: batches[0]})
    with ThreadPoolExecutor(usable_cores()) as pool:
        seconds = _seconds(lambda: list(pool.map(lambda batch: session.run(None, {INPUT: batch}), batches)))
    return len(pixels) / seconds


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class _AnonymousMemory:
    """Largest anonymous memory of this process while the context lasts, sampled twenty times a second."""

    def __enter__(self) -> _AnonymousMemory:
        self.peak_mb = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.05):
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.peak_mb = max(self.peak_mb, int(fields["RssAnon"].split()[0]) * 1024 / 10**6)


if __name__ == "__main__":
    main()
