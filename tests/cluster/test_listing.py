"""Listings of images for a cluster: files, folders and label files."""

import os
import shutil
from pathlib import Path

import pytest

from saccade.cluster.listing import list_images
from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError
from saccade.inference.image_inputs import find_images

pytest.importorskip("pyarrow")


def test_a_folder_gives_the_images_of_the_plain_command_in_its_order(tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    listing = list_images(["tiny/test", "tiny/test/null/*.png", "tiny/test/null/40.png"])

    assert [image.name for image in listing.images] == [
        str(image) for image in find_images(["tiny/test", "tiny/test/null/*.png", "tiny/test/null/40.png"]).images
    ]
    assert {image.path for image in listing.images} >= {str(tiny_folder / "test/null/40.png")}
    assert all(Path(image.path).is_absolute() for image in listing.images)


def test_a_label_file_gives_its_images_with_labels_also_in_object_storage(tiny_folder, tmp_path):
    shutil.copy(tiny_folder / "test/null/40.png", tmp_path / "a.png")
    table = tmp_path / "labels.csv"
    table.write_text("file_name,label\na.png,cat\ns3://bucket/b.png,dog\nmissing.png,\n")

    images = list_images([str(table)]).images

    assert [(image.scheme, image.path, image.label) for image in images] == [
        ("", str(tmp_path / "a.png"), "cat"),
        ("s3", "bucket/b.png", "dog"),
        ("", str(tmp_path / "missing.png"), ""),
    ]


def test_a_parquet_file_is_a_listing_and_may_need_the_name_of_its_column(tiny_folder, tmp_path):
    import pyarrow
    import pyarrow.parquet

    paths = [str(path) for path in sorted((tiny_folder / "test/one").iterdir())]
    pyarrow.parquet.write_table(pyarrow.table({"where": paths}), tmp_path / "list.parquet")
    reading = ReadingOptions(image_column="where", allow_outside=True)

    images = list_images([str(tmp_path / "list.parquet")], reading).images

    assert sorted(Path(image.path).name for image in images) == [Path(path).name for path in paths]
    assert all(Path(image.path).is_file() for image in images)


def test_a_name_that_is_no_text_reaches_the_nodes_as_its_bytes(tiny_folder, tmp_path):
    path = os.fsencode(tmp_path / "photo") + b"\xff.png"
    try:
        shutil.copy(tiny_folder / "test/null/40.png", path)
    except OSError:
        pytest.skip("this file system has only names that are text")
    table = list_images([str(tmp_path)]).to_table()
    assert table["path"].to_pylist() == [path]
    assert table["name"].to_pylist()[0].isprintable()


@pytest.mark.parametrize("source", ["digits:test:0", "http://example.org/a.png", "ftp://a/b"])
def test_what_is_no_file_is_an_error(source):
    with pytest.raises(DataError):
        list_images([source])


def test_samples_hold_the_first_and_the_last_image(tiny_folder):
    listing = list_images([str(tiny_folder)])
    samples = listing.samples(5)
    assert len(samples) == 5
    assert (samples[0], samples[-1]) == (listing.images[0], listing.images[-1])
