"""Features of images by a frozen network, cached by content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.dataset import Preprocessing, Split
from saccade.models.batched_inference import batch_slices
from saccade.models.layer_outputs import resize_to_network
from saccade.typed_json import from_json, to_json

if TYPE_CHECKING:
    import keras

Features = NDArray[np.float32]

_KIND = "features"
# Images per cache entry; a killed training computes at most this number of images again.
_SHARD = 1024
_VERSION = 1


class FeatureExtractor:
    """Feature extraction with a frozen network.

    Args:
        network: network without its head, from `without_head`: pixels [n, height, width, 3] to features [n, d].
        fingerprint: fingerprint of the weights.
        preprocessing: preprocessing of the images.
        name: name of the data, for listings of the cache.
    """

    def __init__(self, network: keras.Model, fingerprint: str, preprocessing: Preprocessing, name: str) -> None:
        self._network = network
        size = network.input_shape[1:3]
        identity = json.dumps([fingerprint, asdict(preprocessing), size, _VERSION])
        self._key = hashlib.sha256(identity.encode()).hexdigest()[:32]
        self._name = name

    def __call__(self, split: Split, mirrored: bool, advance: Callable[[int], object]) -> Features:
        """Return the features of the images of a split, float32 [n, d].

        Args:
            split: the images.
            mirrored: whether the images are flipped horizontally first.
            advance: function that is called with the number of images of each batch.
        """
        prefix = f"{self._key}-{'m' if mirrored else 'p'}"
        cached = _CachedFeatures(disk_cache.find_entries(_KIND, prefix))
        missing = _missing_positions(split, cached)
        advance(len(split) - len(missing))
        for start in range(0, len(missing), _SHARD):
            shard = split.subset(missing[start : start + _SHARD])
            cached.add(shard.hashes, self._compute(shard, mirrored, advance), prefix, self._name)
        return cached.of(split.hashes, int(self._network.output_shape[-1]))

    def _compute(self, shard: Split, mirrored: bool, advance: Callable[[int], object]) -> Features:
        """Compute features in batches of one size, so that the features of an image depend on no other image."""
        height, width = shard.store.shape[1:3]
        (step, *_) = batch_slices(10**6, height, width)
        batches = []
        for start in range(0, len(shard), step.stop):
            images = shard.take(slice(start, start + step.stop))
            n = len(images)
            padded = np.concatenate([images, np.zeros((step.stop - n, *images.shape[1:]), np.uint8)])
            inputs = resize_to_network(self._network, padded[:, :, ::-1] if mirrored else padded)
            batches.append(self._network.predict_on_batch(inputs)[:n])
            advance(n)
        return np.concatenate(batches)


class _CachedFeatures:
    """Features in the cache, by content hash."""

    def __init__(self, entries: Sequence[Path]) -> None:
        self._shards: list[Features] = []
        self._places: dict[str, tuple[int, int]] = {}
        for hashes, features in _readable(entries):
            self._take(hashes, features)

    def __contains__(self, content: str) -> bool:
        return content in self._places

    def add(self, hashes: Sequence[str], features: Features, prefix: str, name: str) -> None:
        with disk_cache.building() as built:
            np.save(built / "features.npy", features)
            (built / "hashes.json").write_text(to_json(tuple(hashes)))
            content = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
            disk_cache.keep(built, _KIND, f"{prefix}-{content}", name)
        self._take(hashes, features)

    def of(self, hashes: Sequence[str], width: int) -> Features:
        features = np.empty((len(hashes), width), np.float32)
        for row, content in enumerate(hashes):
            shard, place = self._places[content]
            features[row] = self._shards[shard][place]
        return features

    def _take(self, hashes: Sequence[str], features: Features) -> None:
        self._places.update((content, (len(self._shards), place)) for place, content in enumerate(hashes))
        self._shards.append(features)


def _readable(entries: Sequence[Path]) -> Iterator[tuple[tuple[str, ...], Features]]:
    """Yield content hashes and features of cache entries; damaged entries are removed."""
    for entry in entries:
        try:
            hashes = from_json(tuple[str, ...], (entry / "hashes.json").read_text())
            features = np.load(entry / "features.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            disk_cache.remove_entry(entry)
            continue
        if len(hashes) == len(features):
            yield hashes, features


def _missing_positions(split: Split, cached: _CachedFeatures) -> NDArray[np.int64]:
    """Return the positions of the images without cached features, the first of identical images only, in order."""
    seen: set[str] = set()
    positions = []
    for position, content in enumerate(split.hashes):
        if content not in cached and content not in seen:
            seen.add(content)
            positions.append(position)
    return np.array(positions, np.int64)
