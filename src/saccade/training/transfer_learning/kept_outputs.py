"""Outputs of the frozen lower layers of a network, computed once by ONNX Runtime and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.batches import WHOLE, Part
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

    Half the bytes of float32 are enough: the network itself rounds more, where it computes in bfloat16. Outputs for
    which the cache has no room are computed whenever they are taken; their bits are the same.

    Args:
        shards: outputs for 512 images each, in the order of the images; None for outputs that are not kept.
        compute: function from positions in the split, int64 [m], to outputs.
        num_unkept: number of images whose outputs are not kept.
    """

    def __init__(
        self, shards: Sequence[Outputs | None], compute: Callable[[NDArray[np.int64]], Outputs], num_unkept: int
    ) -> None:
        self._shards, self._compute = shards, compute
        self.num_unkept = num_unkept

    def take(self, positions: NDArray[np.int64]) -> Outputs:
        """Return the outputs for the images at `positions`, float16 [len(positions), height, width, channels]."""
        unkept = np.array([self._shards[position // _SHARD] is None for position in positions.tolist()], np.bool_)
        if unkept.all():
            return self._compute(positions)
        found = [self._shards[position // _SHARD] for position in positions.tolist()]
        shape = next(shard.shape[1:] for shard in found if shard is not None)
        taken = np.empty((len(positions), *shape), np.float16)
        for row, (position, shard) in enumerate(zip(positions.tolist(), found, strict=True)):
            if shard is not None:
                taken[row] = shard[position % _SHARD]
        if unkept.any():
            taken[unkept] = self._compute(positions[unkept])
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
        self,
        split: Split,
        advance: Callable[[int], object],
        *,
        augment: Augment | None = None,
        version: str = "",
        part: Part = WHOLE,
    ) -> KeptOutputs:
        """Return the outputs for the images of a split.

        Args:
            split: the images.
            advance: function that is called with the number of images of each batch. An exception of this function
                ends the extraction; finished entries of the cache are kept.
            augment: function from images, uint8 [m, height, width, 3], and their positions in the split, int64 [m], to
                augmented images. None: the images as they are.
            version: text that identifies the augmented version; equal names stand for equal images.
            part: part of the entries of the cache to make first.
        """
        compute = partial(self._outputs, split, augment)
        starts = np.arange(0, len(split), _SHARD)
        shards: dict[int, Outputs | None] = dict.fromkeys(starts.tolist())
        own = part.of(starts).tolist()
        unkept = 0
        for start in [*own, *sorted(shards.keys() - set(own))]:
            positions = np.arange(start, min(start + _SHARD, len(split)))
            contents = json.dumps([version, start, [split.hashes[position] for position in positions.tolist()]])
            key = f"{self._key}-{hashlib.sha256(contents.encode()).hexdigest()[:32]}"
            outputs = _opened(key)
            if outputs is not None and len(outputs) == len(positions):
                advance(len(positions))
            elif disk_cache.has_room(len(positions) * self._bytes):
                outputs = self._keep(key, self._batches(split, augment, positions, advance), len(positions))
            else:
                outputs, unkept = None, unkept + len(positions)
                advance(len(positions))
            shards[start] = outputs
        return KeptOutputs(list(shards.values()), compute, unkept)

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of the outputs for an image: [height, width, channels]."""
        return tuple(self._lower.output_shape[1:])

    @property
    def _bytes(self) -> int:
        """Bytes of the outputs for an image."""
        return math.prod(self._shape) * np.dtype(np.float16).itemsize

    def _keep(self, key: str, batches: Iterable[NDArray[np.float32]], images: int) -> Outputs:
        with disk_cache.building() as built:
            with disk_cache.array_stream(built / "outputs.npy", "<f2", (images, *self._shape)) as stream:
                for outputs in batches:
                    stream.write(outputs.astype("<f2").data)
            return _read(disk_cache.keep(built, _KIND, key, self._name))

    def _outputs(self, split: Split, augment: Augment | None, positions: NDArray[np.int64]) -> Outputs:
        """Return the outputs for the images at `positions`, float16 [len(positions), height, width, channels]."""
        outputs = np.empty((len(positions), *self._shape), np.float16)
        done = 0
        for batch in self._batches(split, augment, positions, lambda _: None):
            outputs[done : done + len(batch)] = batch
            done += len(batch)
        return outputs

    def _batches(
        self,
        split: Split,
        augment: Augment | None,
        positions: NDArray[np.int64],
        advance: Callable[[int], object],
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the outputs for the images at `positions` in batches, float32 [m, height, width, channels]."""
        chunks = [positions[start : start + _PIXELS] for start in range(0, len(positions), _PIXELS)]
        for chunk, images in zip(chunks, split.batches(chunks), strict=True):
            pixels = resize_to_network(self._lower, images if augment is None else augment(images, chunk))
            yield from in_parallel(self._session.run, pixels, advance)


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
    outputs: Outputs = disk_cache.mapped_array(entry / "outputs.npy")
    return outputs
