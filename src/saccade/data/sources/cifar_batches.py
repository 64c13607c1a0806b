"""CIFAR-10 and CIFAR-100 in their official files of batches (Krizhevsky, 2009), at a path, and files of the same form.

The format: https://www.cs.toronto.edu/~kriz/cifar.html, "Python version". The files are pickles, which are read without
calling anything (`pickle_reader.py`). Whether the data is called CIFAR-10 depends on checksums alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset, Preprocessing, SplitName
from saccade.data.image_size import PreprocessingOptions
from saccade.data.sources.archives import archive_stem
from saccade.data.sources.array_dataset import LabeledArray, load_array
from saccade.data.sources.pickle_reader import UnknownPickleError, read_pickle
from saccade.errors import DataError
from saccade.sanitize import printable

_SIDE = 32
_MAX_BYTES = 1 << 30  # of all files
# MD5 of the official files of CIFAR-10, from torchvision 0.20, datasets/cifar.py.
_CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


@dataclass(frozen=True)
class BatchFiles:
    """Files of batches.

    Attributes:
        folder: folder that holds the files.
        splits: names of the files of each split.
        names_file: name of the file with the class names.
        names_key: key of the class names in this file.
        labels_key: key of the labels in the other files.
    """

    folder: Path
    splits: Mapping[SplitName, Sequence[str]]
    names_file: str
    names_key: str
    labels_key: str

    def signature(self) -> str:
        """Return a hash that changes with the sizes and times of the files."""
        files = [self.names_file, *(name for names in self.splits.values() for name in names)]
        states = [(name, (self.folder / name).stat()) for name in files]
        lines = [f"{name} {state.st_size} {state.st_ctime_ns}" for name, state in states]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def is_cifar10(self) -> bool:
        """Return whether the files are the official files of CIFAR-10, by their MD5."""
        found = {name for names in self.splits.values() for name in names}
        return found == _CIFAR10_MD5.keys() and all(
            hashlib.md5((self.folder / name).read_bytes(), usedforsecurity=False).hexdigest() == _CIFAR10_MD5[name]
            for name in found
        )


def find_batch_files(folder: Path) -> BatchFiles | None:
    """Return the files of batches in a folder, or in its only folder; None if there are none."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if len(names) == 1 and (folder / min(names)).is_dir():
        folder = folder / min(names)
        names = {path.name for path in folder.iterdir()}
    batches = sorted(name for name in names if name.startswith("data_batch_"))
    if batches and {"batches.meta", "test_batch"} <= names:
        return BatchFiles(folder, {"train": batches, "test": ["test_batch"]}, "batches.meta", "label_names", "labels")
    if {"meta", "train", "test"} <= names and all((folder / name).is_file() for name in ("meta", "train", "test")):
        return BatchFiles(folder, {"train": ["train"], "test": ["test"]}, "meta", "fine_label_names", "fine_labels")
    return None


def load_batches(
    files: BatchFiles,
    source: Path,
    signature: str,
    wanted: Preprocessing | PreprocessingOptions,
    *,
    progress: bool = False,
) -> Dataset:
    """Load the images of batches, which are called CIFAR-10 if they are the official files.

    Args:
        files: files of the batches.
        source: path of the folder or archive that holds the files.
        signature: hash that changes with the files.
        wanted: preprocessing of the images, or their fit at the default size.
        progress: whether to show progress on standard error.

    Raises:
        DataError: as for `read_batches`.
    """
    name = "cifar10" if files.is_cifar10() else archive_stem(source)
    size = (_SIDE, _SIDE)
    return load_array(
        name, size, lambda: read_batches(files), wanted, source=str(source), signature=signature, progress=progress
    )


def read_batches(files: BatchFiles) -> LabeledArray:
    """Read the images and labels of batches.

    Raises:
        DataError: a file is damaged, or holds anything but images of 32x32 pixels and their labels.
    """
    parts = [(split, name, _read(files.folder / name)) for split, names in files.splits.items() for name in names]
    images, labels, splits = [], [], []
    for split, name, batch in parts:
        pixels, numbers = batch.get("data"), batch.get(files.labels_key)
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3 * _SIDE * _SIDE:
            raise _unusable(files.folder / name, "no array 'data' of 3,072 bytes for each image")
        if not isinstance(numbers, list) or len(numbers) != len(pixels) or not all(map(_is_label, numbers)):
            raise _unusable(files.folder / name, f"no list '{files.labels_key}' of {len(pixels)} labels")
        images.append(pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))
        labels += numbers
        splits += [split] * len(numbers)
    counters: dict[SplitName, Iterator[int]] = {split: iter(range(len(labels))) for split in files.splits}
    return LabeledArray(
        images=np.concatenate(images),
        labels=labels,
        splits=splits,
        names=[f"{split}/{next(counters[split])}" for split in splits],
        class_names=_class_names(_read(files.folder / files.names_file).get(files.names_key), max(labels, default=0)),
        mode="RGB",
    )


def _class_names(names: Any, last_label: int) -> list[str]:
    """Return the class names; the numbers of the labels if the names are missing or not different."""
    texts = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names or []]
    if len(set(texts)) == len(texts) > last_label and all(isinstance(text, str) for text in texts):
        return [printable(text) for text in texts]
    return [str(label) for label in range(last_label + 1)]


def _read(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary with keys of text or bytes."""
    if path.stat().st_size > _MAX_BYTES:
        raise _unusable(path, f"{path.stat().st_size:,} bytes")
    try:
        found = read_pickle(path.read_bytes())
    except UnknownPickleError as error:
        raise _unusable(path, str(error)) from None
    if not isinstance(found, dict):
        raise _unusable(path, "no dictionary")
    return {key.decode("latin-1") if isinstance(key, bytes) else str(key): value for key, value in found.items()}


def _is_label(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 100_000


def _unusable(path: Path, found: str) -> DataError:
    return DataError(
        f"{path.name} is no file of CIFAR images that can be read",
        expected="a pickled dictionary with an array of bytes and a list of labels, as in CIFAR-10",
        found=found,
    )
