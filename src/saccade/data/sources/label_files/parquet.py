"""Label files in Parquet, with images by path or embedded as bytes, as the Hugging Face Hub serves data sets.

Embedded images (a column of structs with the field `bytes`) are written into the cache, since images are decoded from
files. The names of the classes are those of the feature `ClassLabel` in the metadata `huggingface` of the file
(https://huggingface.co/docs/datasets/about_dataset_features).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.cache import disk_cache
from saccade.data.sources.archives import MAX_BYTES, MIN_FREE_SPACE, archive_hash
from saccade.data.sources.label_files.table import Row, Table, unusable
from saccade.data.sources.side_files import suffix_of
from saccade.errors import DataError

_ROWS = 256  # rows in memory at a time
_IMAGE_SUFFIXES = frozenset({"avif", "bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"})


@dataclass(frozen=True)
class ParquetFile:
    """A label file in Parquet.

    Attributes:
        table: its contents; a column of embedded images holds the paths of the files in `images`.
        class_names: names of the classes by number; None where the file holds names.
        images: folder of the cache that holds the embedded images; None without embedded images.
    """

    table: Table
    class_names: tuple[str, ...] | None
    images: Path | None


def read_parquet_files(paths: Sequence[Path]) -> list[ParquetFile]:
    """Read Parquet files, which may be the parts of one data set.

    Raises:
        DataError: PyArrow is not installed, a file is damaged, or there is too little space for embedded images.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            "label files in Parquet need another package",
            remedy="pip install 'saccade[parquet]'; or convert the file to CSV or JSON lines",
            code="label-file",
        ) from None
    try:
        opened = [pyarrow.parquet.ParquetFile(path) for path in paths]
        embedded = any(_image_columns(file.schema_arrow) for file in opened)
        images = _extracted(paths, opened) if embedded else None
        return [
            ParquetFile(_table(path, file), _class_names(file.schema_arrow.metadata), images)
            for path, file in zip(paths, opened, strict=True)
        ]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise unusable(paths[0], "a Parquet file", str(error).partition("\n")[0] or type(error).__name__) from None


def _image_columns(schema: Any) -> list[str]:
    """Return the names of the columns that hold embedded images."""
    import pyarrow

    def is_image(kind: Any) -> bool:
        return bool(pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)

    return [field.name for field in schema if is_image(field.type)]


def _table(path: Path, file: Any) -> Table:
    import pyarrow

    images = _image_columns(file.schema_arrow)
    names = [
        field.name for field in file.schema_arrow
        if not pyarrow.types.is_binary(field.type) and not pyarrow.types.is_large_binary(field.type)
    ]  # fmt: skip
    columns = [name for name in names if name not in images] + [f"{name}.path" for name in images]
    rows: list[Row] = []
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        for values in batch.to_pylist():
            number = len(rows)
            for name in images:
                values[name] = _image_name(path, number, values.get(name) or {})
            rows.append(Row(number + 1, values))
    return Table(path, names, rows)


def _image_name(path: Path, number: int, image: Mapping[str, Any]) -> str:
    """Return the path of an embedded image in the cache."""
    suffix = suffix_of(str(image.get("path") or ""))
    stem = path.name.rpartition(".")[0]
    return f"{stem}/{number:08}" + (f".{suffix}" if suffix in _IMAGE_SUFFIXES else "")


def _extracted(paths: Sequence[Path], files: Sequence[Any]) -> Path:
    """Return the folder of the cache with the embedded images; write them if necessary."""
    key = hashlib.sha256("\n".join([f"{path.name} {archive_hash(path)}" for path in paths]).encode()).hexdigest()
    entry = disk_cache.find_entry("archives", key)
    if entry is None:
        with disk_cache.building() as built:
            for path, file in zip(paths, files, strict=True):
                _extract(built / "files", path, file)
            entry = disk_cache.keep(built, "archives", key, paths[0].name)
    return entry / "files"


def _extract(root: Path, path: Path, file: Any) -> None:
    columns = _image_columns(file.schema_arrow)
    number, written = 0, 0
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        if shutil.disk_usage(root.parent).free < batch.nbytes + MIN_FREE_SPACE:
            raise disk_cache.no_space(root.parent)
        for values in batch.to_pylist():
            for image in (values[name] or {} for name in columns):
                contents = image.get("bytes") or b""
                written += len(contents)
                if written > MAX_BYTES:
                    raise unusable(path, f"at most {MAX_BYTES:,} bytes of images", "more")
                target = root / _image_name(path, number, image)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(contents)
            number += 1


def _class_names(metadata: Mapping[bytes, bytes] | None) -> tuple[str, ...] | None:
    """Return the names of the classes in the metadata of the Hugging Face Hub; None if there are none."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        found = [feature["names"] for feature in features.values() if feature.get("_type") == "ClassLabel"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    names = found[0] if len(found) == 1 else None
    is_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_names and names else None
