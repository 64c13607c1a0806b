"""Safe loading of a run's files, which may come from anyone: no pickles, no code, limited sizes."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from saccade.errors import RunError
from saccade.runs.schema import require_schema

_Schema = TypeVar("_Schema", bound=BaseModel)

_LARGEST_RECORD = 50_000_000
_LARGEST_IMAGES = 100_000_000
_NAMES = ("images", "labels")
# Windows has no O_NONBLOCK, and needs O_BINARY.
_OPEN_FLAGS: int = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_contents(path: Path, limit: int) -> bytes:
    """Return the contents of a regular file of at most `limit` bytes.

    Raises:
        RunError: the file is larger, is no regular file, or can't be read.
    """
    try:
        # Opening a named pipe would wait forever without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | _OPEN_FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise RunError(f"'{path}' is not a regular file")
            if status.st_size > limit:
                raise RunError(
                    f"'{path}' is too large", expected=f"{limit:,} bytes at most", found=f"{status.st_size:,} bytes"
                )
            return file.read()
    except OSError as error:
        raise RunError(f"'{path}' can't be read: {error.strerror}") from None


def read_record(path: Path, schema: type[_Schema]) -> _Schema:
    """Read a JSON file by its strict schema, after a check of the schema version where the schema has one.

    Raises:
        RunError: the file can't be read, is of another version, or does not conform to the schema.
    """
    contents = read_contents(path, _LARGEST_RECORD)
    if "schema_version" in schema.model_fields:
        require_schema(contents, f"'{path.parent}'")
    try:
        return schema.model_validate_json(contents)
    except ValidationError as error:
        raise _damaged(path, error) from None


def read_rows(path: Path, schema: type[_Schema], limit: int = _LARGEST_RECORD) -> list[_Schema]:
    """Read the rows of a CSV file of at most `limit` bytes by their schema; empty cells are None.

    Raises:
        RunError: the file can't be read, or does not conform to the schema.
    """
    text = io.StringIO(read_contents(path, limit).decode(errors="replace"), newline="")
    try:
        reader = csv.DictReader(text)
        columns = [field.alias or name for name, field in schema.model_fields.items() if field.is_required()]
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise RunError(f"'{path}' is damaged", found=f"no column {', '.join(missing)}")
        rows = [{key: None if value == "" else value for key, value in row.items()} for row in reader]
        return [schema.model_validate(row, strict=False) for row in rows]
    except csv.Error as error:
        raise RunError(f"'{path}' is damaged: {error}") from None
    except ValidationError as error:
        raise _damaged(path, error) from None


def read_weights(path: Path, limit: int) -> dict[str, NDArray[np.float32]]:
    """Read the arrays of a safetensors file of at most `limit` bytes.

    Raises:
        RunError: the file is larger, is damaged, or holds other dtypes than float32.
    """
    return _only_weights(path, _load(path, read_contents(path, limit)))


def _only_weights(path: Path, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    others = [name for name, array in arrays.items() if array.dtype != np.float32]
    if others:
        raise RunError(f"'{path}' holds other weights than float32: {', '.join(others[:5])}")
    return arrays


def read_weights_with_notes(path: Path, limit: int) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Read the arrays of a safetensors file as `read_weights` does, and the metadata of the file.

    Raises:
        RunError: the file is larger than `limit` bytes, is damaged, or holds other dtypes than float32.
    """
    contents = read_contents(path, limit)
    weights = _only_weights(path, _load(path, contents))
    # The file is well-formed, because it was read: eight bytes with the length of a JSON header, and the header.
    header = json.loads(contents[8 : 8 + int.from_bytes(contents[:8], "little")])
    return weights, dict(header.get("__metadata__") or {})


def read_arrays(path: Path, limit: int, dtypes: Mapping[str, type[np.generic]]) -> dict[str, NDArray[Any]]:
    """Read the arrays of a safetensors file of at most `limit` bytes, with exactly these names and dtypes.

    Raises:
        RunError: the file is larger, is damaged, or holds other arrays.
    """
    arrays = _load(path, read_contents(path, limit))
    found = {name: str(array.dtype) for name, array in arrays.items()}
    expected = {name: str(np.dtype(dtype)) for name, dtype in dtypes.items()}
    if found != expected:
        raise RunError(f"'{path}' is damaged or of another version", expected=str(expected), found=str(found))
    return arrays


def _load(path: Path, contents: bytes) -> dict[str, NDArray[Any]]:
    try:
        arrays: dict[str, NDArray[Any]] = load(contents)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"'{path}' is damaged: {error}") from None
    return arrays


def read_images(path: Path, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read images and labels from an NPZ file.

    Raises:
        RunError: the file is damaged, is too large, or does not hold images of this size and their labels.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_contents(path, _LARGEST_IMAGES))) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_IMAGES:
                raise RunError(f"'{path}' is too large", expected=f"{_LARGEST_IMAGES:,} bytes at most, unpacked")
            arrays = [np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False) for name in _NAMES]
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise RunError(f"'{path}' is damaged: {error}") from None
    images, labels = arrays
    fits = images.dtype == np.uint8 and images.shape == (len(labels), height, width, 3) and labels.ndim == 1
    if not fits or labels.dtype != np.int64:
        raise RunError(
            f"'{path}' does not hold the run's validation images",
            expected=f"uint8 of shape [n, {height}, {width}, 3] and n labels, int64",
            found=f"{images.dtype} of shape {list(images.shape)}, {labels.dtype} of shape {list(labels.shape)}",
        )
    return images, labels


def _damaged(path: Path, error: ValidationError) -> RunError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return RunError(f"'{path}' is damaged or of another version", found=f"{where}: {first['msg']}")
