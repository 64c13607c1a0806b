"""Label files in Parquet: with paths, with embedded images as the Hugging Face Hub serves them, and in parts."""

import json

import numpy as np
import pytest
from tests.data.images import encode, photo, write
from tests.data.sources.label_files.reading import failure, labels, listing_of, notes, splits

from saccade.data.load import load

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))


def table(path, names=None, **columns):
    """Write a Parquet file; `names` are the class names of the feature "label", as the Hub writes them."""
    written = pyarrow.table(columns)
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        written = written.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(written, path)
    return path


def embedded(seeds, suffix="png"):
    contents = [encode(photo(40, 40, seed=seed), "PNG") for seed in seeds]
    return [{"bytes": each, "path": f"{seed}.{suffix}"} for seed, each in zip(seeds, contents, strict=True)]


def test_paths_and_labels(images):
    path = table(images / "labels.parquet", file_name=["1.png", "2.png", "3.png"], label=["cat", "dog", None])
    assert labels(path) == {"1.png": "cat", "2.png": "dog"}
    assert "left out: rows of labels.parquet without a label: line 3" in notes(path)


@pytest.mark.parametrize("kind", ["int8", "int64", "float32", "float64", "uint16"])
def test_numeric_labels_and_missing_values(images, kind):
    values = pyarrow.array([0, 10, None, 2], kind)
    path = table(images / "labels.parquet", file_name=["1.png", "2.png", "3.png", "4.png"], label=values)
    assert labels(path) == {"1.png": "0", "2.png": "10", "4.png": "2"}
    assert listing_of(path).class_names == ("0", "2", "10")


def test_nan_is_a_missing_value(images):
    path = table(images / "labels.parquet", file_name=["1.png", "2.png", "3.png"], label=[0.0, 1.0, float("nan")])
    assert labels(path) == {"1.png": "0", "2.png": "1"}


def test_class_names_of_the_hub(images):
    path = table(images / "a.parquet", ["cat", "dog"], file_name=["1.png", "2.png", "3.png"], label=[1, 0, 1])
    assert labels(path) == {"1.png": "dog", "2.png": "cat", "3.png": "dog"}


@pytest.mark.parametrize(
    "metadata", [b"", b"{", b"[]", b'{"info": null}', b'{"info": {"features": {"label": 3}}}', b"\xff"]
)
def test_other_metadata_gives_no_class_names(images, metadata):
    written = pyarrow.table({"file_name": ["1.png", "2.png"], "label": [0, 1]})
    path = images / "labels.parquet"
    parquet.write_table(written.replace_schema_metadata({"huggingface": metadata}), path)
    assert labels(path) == {"1.png": "0", "2.png": "1"}


def test_a_dictionary_column_and_a_group(images):
    values = pyarrow.array(["cat", "dog", "cat"]).dictionary_encode()
    path = table(images / "a.parquet", file_name=["1.png", "2.png", "3.png"], label=values, group=[7, 8, None])
    assert {image.path: image.group for image in listing_of(path).images} == {"1.png": "7", "2.png": "8", "3.png": ""}


def test_embedded_images_are_decoded_as_their_bytes(tmp_path):
    path = table(tmp_path / "train.parquet", ["cat", "dog"], image=embedded(range(8)), label=[0, 1] * 4)
    dataset = load(path, image_size=40)
    assert dataset.class_names == ("cat", "dog")
    found = {}
    for split in dataset.splits.values():
        for pixels, label in zip(split.take(np.arange(len(split))), split.labels, strict=True):
            found[pixels.tobytes()] = int(label)
    assert found == {photo(40, 40, seed=seed).tobytes(): seed % 2 for seed in range(8)}


def test_shards_with_splits_by_name_as_the_hub_serves_them(tmp_path):
    data = tmp_path / "set" / "data"
    table(data / "train-00000-of-00002.parquet", ["cat", "dog"], image=embedded(range(3)), label=[0, 1, 0])
    table(data / "train-00001-of-00002.parquet", ["cat", "dog"], image=embedded(range(3, 6)), label=[1, 0, 1])
    table(data / "test-00000-of-00001.parquet", ["cat", "dog"], image=embedded(range(6, 8)), label=[0, 1])
    write(tmp_path / "set" / "README.md", b"# A data set")
    counts: dict[str, int] = {}
    for value in splits(tmp_path / "set").values():
        counts[value] = counts.get(value, 0) + 1
    assert counts == {"train/cat": 3, "train/dog": 3, "test/cat": 1, "test/dog": 1}
    listing = listing_of(tmp_path / "set")
    assert all(image.size for image in listing.images)
    assert len({image.path for image in listing.images}) == 8


def test_shards_without_names_of_splits(tmp_path):
    table(tmp_path / "0000.parquet", ["cat", "dog"], image=embedded(range(2)), label=[0, 1])
    table(tmp_path / "0001.parquet", ["cat", "dog"], image=embedded(range(2, 4)), label=[0, 1])
    assert sorted(splits(tmp_path).values()) == ["train/cat", "train/cat", "train/dog", "train/dog"]


def test_names_of_embedded_images_do_not_leave_the_cache(tmp_path):
    images = [
        {**image, "path": name}
        for image, name in zip(embedded(range(4)), ["../../x.png", "/etc/y.png", "a\0.png", None], strict=True)
    ]
    listing = listing_of(table(tmp_path / "a.parquet", ["cat", "dog"], image=images, label=[0, 1, 0, 1]))
    assert len(listing.images) == 4
    for image in listing.images:
        assert ".." not in image.path
        assert (listing.root / image.path).resolve().is_relative_to((tmp_path / "cache").resolve())
    assert not (tmp_path / "x.png").exists()


def test_an_embedded_image_without_bytes_is_unreadable_later(tmp_path):
    images = [*embedded(range(5)), {"bytes": None, "path": "x.png"}, {"bytes": b"no image", "path": "y.png"}, None]
    path = table(tmp_path / "a.parquet", ["cat", "dog"], image=images, label=[0, 1] * 4)
    dataset = load(path, image_size=40)
    assert sum(map(len, dataset.splits.values())) == 5
    assert len(dataset.unreadable) == 3
    assert all(one.reason for one in dataset.unreadable)


@pytest.mark.parametrize("contents", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"file_name,label\n1.png,cat\n"])
def test_damaged_files(images, contents):
    message = failure(write(images / "labels.parquet", contents))
    assert "expected: a Parquet file" in message


def test_other_columns(images):
    path = table(images / "labels.parquet", pic=["1.png", "2.png"], kind=["cat", "dog"])
    assert "name the column with --image-column" in failure(path)
    assert labels(path, image_column="pic", label_column="kind") == {"1.png": "cat", "2.png": "dog"}
    lists = table(images / "lists.parquet", file_name=["1.png", "2.png"], label=[["cat"], ["dog", "owl"]])
    assert "several labels in line 2" in failure(lists)
