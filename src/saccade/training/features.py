"""What a frozen network gives of each image, computed once and kept in the cache by the image's contents."""

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
# Images in an entry of the cache: what a training that is killed has to compute again, at most.
_SHARD = 1024
_VERSION = 1


class FeatureExtractor:
    """Features of images by a network that stands still.

    Args:
        network: from pixels that it sees, [n, h, w, 3], to features [n, d]; what `without_head` gives.
        fingerprint: of its weights.
        preprocessing: how images became arrays.
        name: of the data, for whoever looks at the cache.
    """

    def __init__(self, network: keras.Model, fingerprint: str, preprocessing: Preprocessing, name: str) -> None:
        self._network = network
        size = network.input_shape[1:3]
        identity = json.dumps([fingerprint, asdict(preprocessing), size, _VERSION])
        self._key = hashlib.sha256(identity.encode()).hexdigest()[:32]
        self._name = name

    def __call__(self, split: Split, mirrored: bool, advance: Callable[[int], object]) -> Features:
        """The features of a split's images, float32 [n, d].

        Args:
            split: the images.
            mirrored: whether left and right are exchanged first.
            advance: told how many images are done.
        """
        prefix = f"{self._key}-{'m' if mirrored else 'p'}"
        known = _Known(disk_cache.find_entries(_KIND, prefix))
        missing = _first_of_each(split, known)
        advance(len(split) - len(missing))
        for start in range(0, len(missing), _SHARD):
            shard = split.subset(missing[start : start + _SHARD])
            known.add(shard.hashes, self._computed(shard, mirrored, advance), prefix, self._name)
        return known.of(split.hashes, int(self._network.output_shape[-1]))

    def _computed(self, shard: Split, mirrored: bool, advance: Callable[[int], object]) -> Features:
        """Features of some images, in batches that are all of one size: so they depend on no other image."""
        height, width = shard.store.shape[1:3]
        (step, *_) = batch_slices(10**6, height, width)
        parts = []
        for start in range(0, len(shard), step.stop):
            images = shard.take(slice(start, start + step.stop))
            n = len(images)
            padded = np.concatenate([images, np.zeros((step.stop - n, *images.shape[1:]), np.uint8)])
            seen = resize_to_network(self._network, padded[:, :, ::-1] if mirrored else padded)
            parts.append(self._network.predict_on_batch(seen)[:n])
            advance(n)
        return np.concatenate(parts)


class _Known:
    """The features that are in the cache, by content hash."""

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
    """What is in entries of the cache; a damaged one is left away, and computed again."""
    for entry in entries:
        try:
            hashes = from_json(tuple[str, ...], (entry / "hashes.json").read_text())
            features = np.load(entry / "features.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            disk_cache.remove_entry(entry)
            continue
        if len(hashes) == len(features):
            yield hashes, features


def _first_of_each(split: Split, known: _Known) -> NDArray[np.int64]:
    """The positions of the images that are not known, each content once, in their order."""
    seen: set[str] = set()
    positions = []
    for position, content in enumerate(split.hashes):
        if content not in known and content not in seen:
            seen.add(content)
            positions.append(position)
    return np.array(positions, np.int64)
