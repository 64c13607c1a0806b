"""CIFAR-10 (Krizhevsky, 2009), read by `keras.datasets.cifar10` and then cached.

Keras downloads the archive, checks its SHA-256 and unpickles it. This is the only place where Saccade unpickles data.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import sys
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from saccade.atomic_io import atomic_write
from saccade.data.dataset import Dataset, Preprocessing, SplitName
from saccade.data.image_size import PreprocessingOptions
from saccade.data.sources.array_dataset import LabeledArray, is_cached, load_array
from saccade.errors import DataNotFoundError
from saccade.keras_loading import load_keras_quietly

_SIZE = (32, 32)
_CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ARCHIVE = "cifar-10-python.tar.gz"
_NAME_FOR_KERAS = "cifar-10-batches-py-target_archive"
_TIMEOUT = 20.0  # timeout of a network that does not respond


def load_cifar10(
    preprocessing: Preprocessing | PreprocessingOptions, folders: Sequence[Path], *, progress: bool
) -> Dataset:
    """Load CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels.

    Args:
        preprocessing: preprocessing of the images, or their fit at the original size.
        folders: folders that may hold the official archive `cifar-10-python.tar.gz`.
        progress: whether to show progress on standard error.

    Raises:
        DataNotFoundError: CIFAR-10 is not on this machine and can't be downloaded; the error gives the reason and the
            three ways to get the data.
    """
    return load_array("cifar10", _SIZE, lambda: _read(folders, progress=progress), preprocessing, progress=progress)


def cifar10_is_here(folders: Sequence[Path]) -> bool:
    """Return whether CIFAR-10 is on this machine."""
    return is_cached("cifar10", _SIZE) or _keras_archive().is_file() or _official_archive(folders) is not None


def _read(folders: Sequence[Path], *, progress: bool) -> LabeledArray:
    _copy_to_keras(folders)
    load_keras_quietly()
    with _keras_errors_as_not_found(folders), _quiet_keras(shown=progress):
        from keras.datasets import cifar10

        (training, training_labels), (test, test_labels) = cifar10.load_data()
    splits: list[SplitName] = ["train"] * len(training)
    splits += ["test"] * len(test)
    numbers = [*range(len(training)), *range(len(test))]
    return LabeledArray(
        images=np.concatenate([training, test]),
        labels=np.concatenate([training_labels, test_labels]).reshape(-1).tolist(),
        splits=splits,
        names=[f"{split}/{number}" for split, number in zip(splits, numbers, strict=True)],
        class_names=_CLASS_NAMES,
        mode="RGB",
    )


def _official_archive(folders: Sequence[Path]) -> Path | None:
    return next((folder / _ARCHIVE for folder in folders if (folder / _ARCHIVE).is_file()), None)


def _keras_archive() -> Path:
    """Return the path where Keras searches the archive before a download."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    if not os.access(home if home.exists() else home.parent, os.W_OK):
        home = Path("/tmp/.keras")  # noqa: S108 - the folder that Keras uses instead
    return home / "datasets" / _NAME_FOR_KERAS


def _copy_to_keras(folders: Sequence[Path]) -> None:
    """Copy the official archive to the path where Keras checks and unpacks it."""
    archive, target = _official_archive(folders), _keras_archive()
    if archive is None or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as partial:
        shutil.copyfile(archive, partial)


@contextlib.contextmanager
def _quiet_keras(*, shown: bool) -> Iterator[None]:
    """Redirect the messages of Keras about the download, because standard output is for results."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        with contextlib.redirect_stdout(sys.stderr if shown else io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(timeout)


@contextlib.contextmanager
def _keras_errors_as_not_found(folders: Sequence[Path]) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # Keras raises bare Exceptions
        raise DataNotFoundError(
            f"CIFAR-10 is not on this machine and can't be downloaded: {_reason(error, folders)}",
            remedy=(
                "connect to the network and run this again; "
                f"or put the official archive {_ARCHIVE} in a folder and set SACCADE_DATA to that folder; "
                "or put the images there, as a folder or an archive called cifar10 with train/CLASS and test/CLASS"
            ),
        ) from None


def _reason(error: BaseException, folders: Sequence[Path]) -> str:
    archive = _official_archive(folders)
    if archive is not None:
        return f"{archive} is not the official archive, and the download failed"
    while error.__context__ is not None and not isinstance(error, urllib.error.URLError):
        error = error.__context__
    if isinstance(error, urllib.error.HTTPError):
        return f"the server responded {error.code} {error.reason}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)
