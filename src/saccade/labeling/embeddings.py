"""embed: features of images by a pretrained network or by the network of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import UnreadableImage
from saccade.data.load import Data
from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError
from saccade.labeling.embedded_data import prepare
from saccade.labeling.image_map import map_images, write_map
from saccade.labeling.new_file import atomic_result, new_file
from saccade.runs.run import Run
from saccade.training.transfer_learning.features import Features

SUFFIXES = (".parquet", ".npz")
"""Suffixes of files of embeddings."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of images.

    Attributes:
        paths: names of the n images: paths relative to the data, or numbers.
        hashes: content hash of each image, hexadecimal.
        labels: name of the class of each image; "" without labels.
        splits: split of each image by the data itself; "" where the data has none.
        features: features of each image, float32 [n, d].
        unreadable: images without features, with the reasons.
        network: name of the network, or of the run.
        size: height and width of the decoded images, in pixels.
        notes: messages on how the data was read.
    """

    paths: Sequence[str]
    hashes: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    features: Features
    unreadable: tuple[UnreadableImage, ...]
    network: str
    size: tuple[int, int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)


def embed(
    data: Data,
    *,
    network: Run | str | Path | None = None,
    out: str | Path | None = None,
    map_to: str | Path | None = None,
    seed: int = 0,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> Embeddings:
    """Compute the features of images, in front of the head of a network.

    Features are kept in the cache by the contents of the images, so that an interrupted or repeated command computes
    only those that are missing.

    Args:
        data: data as for `load`, or a folder or an archive of images without labels.
        network: a run, whose preprocessing is used too, or another source as for `transfer`. None: EfficientNet-Lite0
            with ImageNet weights.
        out: file to write, whose name ends in .parquet or .npz; None writes no file.
        map_to: HTML page to write, a map of the images; None writes no page.
        seed: seed of the map.
        reading: options for reading; None: the default options.
        progress: whether to show progress on standard error.

    Raises:
        DataError: the data can't be used, or the file exists or can't be written.
        RunError, TrainingError: the run or the network can't be used.
    """
    path = None if out is None else new_file(out, SUFFIXES)
    page = None if map_to is None else new_file(map_to, (".html",), option="--map")
    if path is not None and path.suffix == ".parquet":
        _require_pyarrow()
    found = prepare(data, network=network, reading=reading, progress=progress)
    embeddings = Embeddings(
        paths=found.images.names,
        hashes=found.images.hashes,
        labels=found.labels,
        splits=found.splits,
        features=found.features(progress=progress),
        unreadable=found.dataset.unreadable,
        network=found.network,
        size=(found.dataset.preprocessing.height, found.dataset.preprocessing.width),
        notes=found.notes,
    )
    if path is not None:
        write_embeddings(embeddings, path)
    if page is not None:
        run = network if isinstance(network, Run) else None
        write_map(map_images(found, embeddings.features, run, seed=seed), page)
    return embeddings


def write_embeddings(embeddings: Embeddings, path: Path) -> None:
    """Write embeddings into a new file, one row an image.

    A .npz file has the arrays `paths`, `hashes`, `labels`, `splits` (text), `embeddings` (float32 [n, d]),
    `unreadable_paths` and `unreadable_reasons`, and the text `network`; it is read with `allow_pickle=False`. A
    Parquet file has the columns path, hash, label, split, embedding (list of float32) and unreadable_reason; an
    unreadable image has a row without embedding.

    Raises:
        DataError: the file can't be written.
    """
    write = _write_parquet if path.suffix == ".parquet" else _write_npz
    with atomic_result(path) as partial:
        write(embeddings, partial)


def _write_npz(embeddings: Embeddings, path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "paths": np.array(embeddings.paths, np.str_),
        "hashes": np.array(embeddings.hashes, np.str_),
        "labels": np.array(embeddings.labels, np.str_),
        "splits": np.array(embeddings.splits, np.str_),
        "embeddings": embeddings.features,
        "unreadable_paths": np.array([image.path for image in embeddings.unreadable], np.str_),
        "unreadable_reasons": np.array([image.reason for image in embeddings.unreadable], np.str_),
        "network": np.array(embeddings.network, np.str_),
    }
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _write_parquet(embeddings: Embeddings, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    unreadable, n = embeddings.unreadable, len(embeddings)
    width = embeddings.features.shape[1]
    readable = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(embeddings.features.ravel()), width)
    missing = pyarrow.nulls(len(unreadable), readable.type)
    columns: dict[str, Any] = {
        "path": [*embeddings.paths, *(image.path for image in unreadable)],
        "hash": [*embeddings.hashes, *([None] * len(unreadable))],
        "label": [*(label or None for label in embeddings.labels), *([None] * len(unreadable))],
        "split": [*(split or None for split in embeddings.splits), *([None] * len(unreadable))],
        "unreadable_reason": [*([None] * n), *(image.reason for image in unreadable)],
    }
    table = {name: pyarrow.array(values, pyarrow.string()) for name, values in columns.items()}
    table["embedding"] = pyarrow.concat_arrays([readable, missing])
    notes = {"saccade": json.dumps({"network": embeddings.network, "size": embeddings.size})}
    pyarrow.parquet.write_table(pyarrow.table(table).replace_schema_metadata(notes), path)


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise DataError(
            "a Parquet file needs another package",
            remedy="pip install 'saccade[parquet]'; or write a .npz file",
        ) from None
