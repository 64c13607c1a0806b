"""Outputs of the frozen lower layers of a network, computed once by ONNX Runtime and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.dataset import Preprocessing, Split
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.frozen_part import lower_part
from saccade.models.layer_outputs import resize_to_network
from saccade.models.onnx.to_onnx import to_onnx
from saccade.onnx_session import open_session, runtime_version
from saccade.training.transfer_learning.features import in_parallel

if TYPE_CHECKING:
    import keras

Outputs = NDArray[np.float16]
Augment = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.uint8]]

_KIND = "outputs"
# Images per cache entry; a killed training computes at most this number of images again.
_SHARD = 512
# Images whose pixels are made at a time.
_PIXELS = 64
_VERSION = 1


class KeptOutputs:
    """Outputs of the frozen layers for the images of a split, in files of the cache: float16 [n, height, width, c].

    Half the bytes of float32 are enough: the network itself rounds more, where it computes in bfloat16.
    """

    def __init__(self, shards: Sequence[Outputs]) -> None:
        self._shards = shards

    def take(self, positions: NDArray[np.int64]) -> Outputs:
        """Return the outputs for the images at `positions`, float16 [len(positions), height, width, channels]."""
        taken = np.empty((len(positions), *self._shards[0].shape[1:]), np.float16)
        for row, position in enumerate(positions.tolist()):
            taken[row] = self._shards[position // _SHARD][position % _SHARD]
        return taken


class OutputExtractor:
    """Computation of the outputs of the frozen layers, as `FeatureExtractor` computes features.

    Args:
        network: stock network in float32, with its weights; they are copied.
        cut: name of the last frozen layer, from `cut_layer`.
        fingerprint: fingerprint of the weights.
        preprocessing: preprocessing of the images.
        name: name of the data, for listings of the cache.
    """

    def __init__(
        self, network: keras.Model, cut: str, fingerprint: str, preprocessing: Preprocessing, name: str
    ) -> None:
        self._lower = fold_normalization(lower_part(network, cut))
        self._session = open_session(to_onnx(self._lower, {}), threads=1)
        identity = [fingerprint, cut, asdict(preprocessing), self._lower.input_shape[1:3], runtime_version(), _VERSION]
        self._key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        self._name = name

    def __call__(
        self, split: Split, advance: Callable[[int], object], *, augment: Augment | None = None, version: str = ""
    ) -> KeptOutputs:
        """Return the outputs for the images of a split.

        Args:
            split: the images.
            advance: function that is called with the number of images of each batch. An exception of this function
                ends the extraction; finished entries of the cache are kept.
            augment: function from images, uint8 [m, height, width, 3], and their positions in the split, int64 [m], to
                augmented images. None: the images as they are.
            version: text that identifies the augmented version; equal names stand for equal images.
        """
        shards = []
        for start in range(0, len(split), _SHARD):
            positions = np.arange(start, min(start + _SHARD, len(split)))
            contents = json.dumps([version, start, [split.hashes[position] for position in positions.tolist()]])
            key = f"{self._key}-{hashlib.sha256(contents.encode()).hexdigest()[:32]}"
            outputs = _opened(key)
            if outputs is None or len(outputs) != len(positions):
                outputs = self._compute(key, split, positions, augment, advance)
            else:
                advance(len(positions))
            shards.append(outputs)
        return KeptOutputs(shards)

    def _compute(
        self,
        key: str,
        split: Split,
        positions: NDArray[np.int64],
        augment: Augment | None,
        advance: Callable[[int], object],
    ) -> Outputs:
        with disk_cache.building() as built:
            shape = (len(positions), *self._lower.output_shape[1:])
            written = np.lib.format.open_memmap(built / "outputs.npy", "w+", np.float16, shape)
            done = 0
            for start in range(0, len(positions), _PIXELS):
                chunk = positions[start : start + _PIXELS]
                images = split.take(chunk)
                pixels = resize_to_network(self._lower, images if augment is None else augment(images, chunk))
                for outputs in in_parallel(self._session.run, pixels, advance):
                    written[done : done + len(outputs)] = outputs
                    done += len(outputs)
            written.flush()
            del written
            return _read(disk_cache.keep(built, _KIND, key, self._name))


def _opened(key: str) -> Outputs | None:
    entry = disk_cache.find_entry(_KIND, key)
    if entry is None:
        return None
    try:
        return _read(entry)
    except (OSError, ValueError):
        disk_cache.remove_entry(entry)
        return None


def _read(entry: Path) -> Outputs:
    outputs: Outputs = np.load(entry / "outputs.npy", mmap_mode="r", allow_pickle=False)
    return outputs
