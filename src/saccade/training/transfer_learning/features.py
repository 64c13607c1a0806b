"""Features of images by a frozen network, with ONNX Runtime, cached by content hash."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.dataset import Preprocessing, Split
from saccade.machine import usable_cores
from saccade.models.layer_outputs import resize_to_network
from saccade.models.onnx.to_onnx import INPUT, to_onnx
from saccade.onnx_session import open_session, runtime_version
from saccade.typed_json import from_json, to_json

if TYPE_CHECKING:
    import keras
    import onnxruntime

Features = NDArray[np.float32]

_KIND = "features"
# Images per cache entry; a killed training computes at most this number of images again.
_SHARD = 1024
# Images per call of the runtime. The time per image is equal from 1 to 16 images of 224x224 pixels; small batches keep
# the activations in the processor's cache and the memory small.
BATCH = 4
_BATCHES_AHEAD = 4  # of each core
# Batches of each core in a measurement of the speed, which are repeated for this number of seconds.
_MEASURED_BATCHES = 4
_MEASURED_SECONDS = 1.0
_VERSION = 3


def unit_features(features: Features) -> Features:
    """Return features, float32 [n, d], each divided by its norm."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


class FeatureBlock(NamedTuple):
    """Features of a part of the images.

    Attributes:
        positions: positions of m images among all images, int64 [m].
        features: features, float32 [k, d].
        rows: row of the features of each image, int64 [m]. Images of equal contents have one row.
    """

    positions: NDArray[np.int64]
    features: Features
    rows: NDArray[np.int64]


class FeatureExtractor:
    """Feature extraction with a frozen network.

    Each core of the processor runs the network on a batch of its own, with one thread. Two cores are faster this way
    than with two threads for one batch, and the number of cores does not change the bits of the features.

    Args:
        network: network without its head, from `without_head`: pixels [n, height, width, 3] to features [n, d].
        fingerprint: fingerprint of the weights.
        preprocessing: preprocessing of the images.
        name: name of the data, for listings of the cache.
    """

    def __init__(self, network: keras.Model, fingerprint: str, preprocessing: Preprocessing, name: str) -> None:
        self._network = network
        self._fingerprint, self._preprocessing = fingerprint, preprocessing
        self._key = self._key_at(network.input_shape[1:3])
        self._name = name
        self._cached: dict[str, _CachedFeatures] = {}
        self.num_unkept = 0
        """Number of images whose features the cache had no room for: the next command computes them again."""

    @cached_property
    def contents(self) -> bytes:
        """Contents of an ONNX file of the network, from pixels [n, height, width, 3] to features [n, d]."""
        return to_onnx(self._network, {})

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session(self.contents, threads=1)

    @property
    def key(self) -> str:
        """Hash of all that decides the features of an image."""
        return self._key

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the images that the network sees, in pixels."""
        height, width = self._network.input_shape[1:3]
        return height, width

    @property
    def width(self) -> int:
        """Number of features of an image."""
        return int(self._network.output_shape[-1])

    def __call__(
        self, split: Split, mirrored: bool, advance: Callable[[int], object], out: Features | None = None
    ) -> Features:
        """Return the features of the images of a split, float32 [n, d].

        Args:
            split: the images.
            mirrored: whether the images are flipped horizontally first.
            advance: function that is called with the number of images of each batch. An exception of this function
                ends the extraction; the features of the finished batches are kept in the cache.
            out: array for the result, float32 [n, d]. None: a new array.
        """
        cached = self._computed(split, mirrored, advance)
        return cached.of(split.hashes, np.empty((len(split), self.width), np.float32) if out is None else out)

    def blocks(self, split: Split, advance: Callable[[int], object]) -> Iterator[FeatureBlock]:
        """Yield the features of all images of a split in blocks.

        The features stay in the memory maps of the cache, so that the memory does not depend on the number of images.

        Args:
            split: the images.
            advance: function that is called with the number of images of each batch, as by a call of the extractor.
        """
        yield from self._computed(split, False, advance).blocks(split.hashes)

    def _computed(self, split: Split, mirrored: bool, advance: Callable[[int], object]) -> _CachedFeatures:
        """Return the cached features after the missing features of a split are computed."""
        prefix = _prefix(self._key, mirrored)
        # A search asks for the features of its query and of its data: the index of the cache is read once.
        if prefix not in self._cached or not self._cached[prefix].is_intact():
            self._cached[prefix] = _CachedFeatures(disk_cache.find_entries(_KIND, prefix))
        cached = self._cached[prefix]
        missing = _missing_positions(split, cached)
        advance(len(split) - len(missing))
        if len(missing):
            images = split.subset(missing)
            finished: list[Features] = []
            kept = 0

            def keep() -> None:
                nonlocal kept
                if finished:
                    features = np.concatenate(finished)
                    hashes = images.hashes[kept : kept + len(features)]
                    self.num_unkept += 0 if cached.add(hashes, features, prefix, self._name) else len(features)
                    kept += len(features)
                    finished.clear()

            try:
                for features in in_parallel(self._session.run, _Pixels(self._network, images, mirrored), advance):
                    finished.append(features)
                    if len(finished) == _SHARD // BATCH:
                        keep()
            finally:
                keep()
        return cached

    def num_missing(self, split: Split, mirrored: bool, size: tuple[int, int]) -> int:
        """Return the number of images whose features are not in the cache.

        Args:
            split: the images.
            mirrored: whether the images are flipped horizontally first.
            size: height and width of the network's input, in pixels, which may differ from those of this network.
        """
        return len(
            _missing_positions(
                split, _CachedFeatures(disk_cache.find_entries(_KIND, _prefix(self._key_at(size), mirrored)))
            )
        )

    def seconds_per_image(self, images: Split) -> float:
        """Measure the seconds for each image with all cores busy, without the cache, for at least a second.

        The fastest of the measurements counts: what ran before, such as the decoding and its writing, ends during the
        slower ones.

        Args:
            images: images to compute, one at least; a small part of them is used, repeatedly.
        """
        some = images.subset(np.arange(min(len(images), _MEASURED_BATCHES * BATCH * usable_cores())))

        def compute() -> float:
            start = time.perf_counter()
            for _ in in_parallel(self._session.run, _Pixels(self._network, some, False), lambda _: None):
                pass
            return time.perf_counter() - start

        compute()  # the first time, the runtime allocates its memory
        times: list[float] = []
        while sum(times) < _MEASURED_SECONDS:
            times.append(compute())
        return min(times) / len(some)

    def _key_at(self, size: tuple[int, int]) -> str:
        identity = json.dumps([self._fingerprint, asdict(self._preprocessing), size, runtime_version(), _VERSION])
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


class Pixels(Protocol):
    """Images for a network, float32 [n, height, width, 3], made when a slice of them is taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, images: slice, /) -> NDArray[np.float32]: ...


def in_parallel(
    run: Callable[..., list[Features]], pixels: Pixels, advance: Callable[[int], object]
) -> Iterator[Features]:
    """Run a network on images, a batch on each core, and yield the outputs of each batch in order.

    All batches have one size, so the outputs for an image depend on no other image.

    Args:
        run: method `run` of a session with one thread.
        pixels: the images.
        advance: function that is called with the number of images of each batch.
    """

    def compute(start: int) -> Features:
        images = pixels[start : start + BATCH]
        missing = BATCH - len(images)
        padded = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.float32)]) if missing else images
        return run(None, {INPUT: np.ascontiguousarray(padded)})[0][: len(images)]

    cores = usable_cores()
    pool = ThreadPoolExecutor(cores)
    running: deque[Future[Features]] = deque()
    try:
        for start in range(0, len(pixels), BATCH):
            running.append(pool.submit(compute, start))
            # A few batches ahead keep all cores busy; those of all images would need memory for each image.
            if len(running) > _BATCHES_AHEAD * cores:
                yield running[0].result()
                advance(len(running.popleft().result()))
        while running:
            yield running[0].result()
            advance(len(running.popleft().result()))
    finally:
        pool.shutdown(cancel_futures=True)


class _Pixels:
    """Images of a split, or their mirror images, at the size of a network."""

    def __init__(self, network: keras.Model, images: Split, mirrored: bool) -> None:
        self._network, self._images, self._mirrored = network, images, mirrored

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, images: slice) -> NDArray[np.float32]:
        taken = self._images.take(images)
        return resize_to_network(self._network, taken[:, :, ::-1] if self._mirrored else taken)


def _prefix(key: str, mirrored: bool) -> str:
    return f"{key}-{'m' if mirrored else 'p'}"


class _CachedFeatures:
    """Features in the cache, by content hash."""

    def __init__(self, entries: Sequence[Path]) -> None:
        self._shards: list[Features] = []
        self._starts: list[int] = []  # number of the first row of each shard, counted over all shards
        self._rows: dict[str, int] = {}
        self._sizes: dict[Path, int] = {}
        for entry, hashes, features in _readable(entries):
            self._take(hashes, features, entry)

    def is_intact(self) -> bool:
        """Return whether no file of these features was removed or cut off since it was read."""
        try:
            return all(path.stat().st_size == size for path, size in self._sizes.items())
        except OSError:
            return False

    def missing(self, hashes: Iterable[str]) -> set[str]:
        """Return the hashes of the images without cached features."""
        return set(hashes) - self._rows.keys()

    def add(self, hashes: Sequence[str], features: Features, prefix: str, name: str) -> bool:
        """Keep features in the cache, or in memory where the cache has no room; return whether the cache keeps them."""
        if not disk_cache.has_room(features.nbytes):
            self._take(hashes, features)
            return False
        with disk_cache.building() as built:
            with disk_cache.array_stream(built / "features.npy", "<f4", features.shape) as stream:
                stream.write(np.ascontiguousarray(features, "<f4").data)
            (built / "hashes.json").write_text(to_json(tuple(hashes)))
            content = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
            entry = disk_cache.keep(built, _KIND, f"{prefix}-{content}", name)
        # Read from the file, so that the features of many images need no memory of their own.
        self._take(hashes, disk_cache.mapped_array(entry / "features.npy"), entry)
        return True

    def of(self, hashes: Sequence[str], out: Features) -> Features:
        """Copy the features of images into an array, float32 [n, d], and return it."""
        shards, rows = self._places(hashes)
        for position, (shard, row) in enumerate(zip(shards.tolist(), rows.tolist(), strict=True)):
            out[position] = self._shards[shard][row]
        return out

    def blocks(self, hashes: Sequence[str]) -> Iterator[FeatureBlock]:
        """Yield the features of images, one block for each entry of the cache."""
        shards, rows = self._places(hashes)
        order = np.lexsort((rows, shards))
        for positions in np.split(order, np.flatnonzero(np.diff(shards[order])) + 1):
            if len(positions):
                features, wanted = self._shards[shards[positions[0]]], rows[positions]
                if 2 * len(wanted) < len(features):  # most features of the entry are of other images
                    needed, wanted = np.unique(wanted, return_inverse=True)
                    features = features[needed]
                yield FeatureBlock(positions, features, wanted)

    def _places(self, hashes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shard of each image and its row there, int64 [n] each."""
        rows = np.fromiter(map(self._rows.__getitem__, hashes), np.int64, len(hashes))
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        return shards, rows - np.array(self._starts, np.int64)[shards]

    def _take(self, hashes: Sequence[str], features: Features, entry: Path | None = None) -> None:
        start = self._starts[-1] + len(self._shards[-1]) if self._shards else 0
        self._rows.update(zip(hashes, range(start, start + len(hashes)), strict=True))
        self._starts.append(start)
        self._shards.append(features)
        if entry is not None:
            self._sizes[entry / "features.npy"] = (entry / "features.npy").stat().st_size


def _readable(entries: Sequence[Path]) -> Iterator[tuple[Path, tuple[str, ...], Features]]:
    """Yield cache entries, their content hashes and features; damaged entries are removed."""
    for entry in entries:
        try:
            hashes = from_json(tuple[str, ...], (entry / "hashes.json").read_text())
            # Not `mapped_array`: most entries may be of other data, which need not stay.
            features = np.load(entry / "features.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            disk_cache.remove_entry(entry)
            continue
        if len(hashes) == len(features):
            disk_cache.find_entry(_KIND, entry.name)  # records the use of the entry
            yield entry, hashes, features


def _missing_positions(split: Split, cached: _CachedFeatures) -> NDArray[np.int64]:
    """Return the positions of the images without cached features, the first of identical images only, in order."""
    missing = cached.missing(split.hashes)
    positions = []
    for position, content in enumerate(split.hashes if missing else ()):
        if content in missing:
            missing.remove(content)
            positions.append(position)
    return np.array(positions, np.int64)
