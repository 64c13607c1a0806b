"""Data in memory: what goes in is what is loaded, for every kind of it."""

import os
from contextlib import ExitStack

import datasets as hugging_face
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.data.images import photo, write

from saccade import load
from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError

COUNT = 24
IMAGES = np.stack([photo(32, 32, seed=number) for number in range(COUNT)])
LABELS = ["cat" if number % 2 else "dog" for number in range(COUNT)]


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / "photos" / f"{number}.png" for number in range(COUNT)]
    for path, image in zip(paths, IMAGES, strict=True):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return paths


def read(dataset):
    """Return the class of each image, by its pixels."""
    return {image.tobytes(): dataset.class_names[label] for split in dataset.splits.values() for image, label in split}


EXPECTED = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}


@pytest.mark.parametrize(
    "images",
    [
        IMAGES, list(IMAGES), IMAGES / 255, (IMAGES / 255).astype(np.float32), IMAGES.astype(float),
        [Image.fromarray(image) for image in IMAGES],
    ],
    ids=["array", "list", "to 1", "float32", "to 255", "Pillow"],
)  # fmt: skip
def test_images_and_labels(images):
    dataset = load((images, LABELS))
    assert read(dataset) == EXPECTED
    assert dataset.class_names == ("cat", "dog")
    assert dataset.test_is_made
    assert load((images, LABELS)).fingerprint == dataset.fingerprint == load((IMAGES, LABELS)).fingerprint
    assert load((images, LABELS[::-1])).fingerprint != dataset.fingerprint


def test_the_range_of_floats_is_a_note():
    assert "pixels are floats, from 0 to 1, multiplied by 255" in load((IMAGES / 255, LABELS)).notes
    assert "pixels are floats, from 0 to 255, rounded" in load((IMAGES * 1.0, LABELS)).notes


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path, lambda path: path.read_bytes()])
def test_paths_and_bytes(paths, kind):
    assert read(load(([kind(path) for path in paths], LABELS))) == EXPECTED


def test_open_files(paths):
    with ExitStack() as opened:
        files = [opened.enter_context(path.open("rb")) for path in paths]
        assert read(load((files, LABELS))) == EXPECTED


def test_all_kinds_at_once(paths):
    kinds = [lambda n: paths[n], lambda n: IMAGES[n], lambda n: Image.open(paths[n]), lambda n: paths[n].read_bytes()]
    dataset = load(([kinds[n % 4](n) for n in range(COUNT)], LABELS))
    assert read(dataset) == EXPECTED


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.arange(COUNT) % 11, [str(number) for number in range(11)]),
        (np.arange(COUNT)[:, None] % 3, ["0", "1", "2"]),
        (np.eye(3)[np.arange(COUNT) % 3], ["0", "1", "2"]),
        (pd.Series(LABELS), ["cat", "dog"]),
        (pd.Categorical(LABELS), ["cat", "dog"]),
        (np.array(LABELS), ["cat", "dog"]),
        ([number % 2 == 0 for number in range(COUNT)], ["False", "True"]),
        ([float(number % 2) for number in range(COUNT)], ["0", "1"]),
    ],
)
def test_labels(labels, names):
    dataset = load((IMAGES, labels))
    assert list(dataset.class_names) == names
    assert set(read(dataset)) == set(EXPECTED)


def test_splits():
    keras_like = ((IMAGES[:16], np.arange(16)[:, None] % 2), (IMAGES[16:], np.arange(16, COUNT)[:, None] % 2))
    for data in (
        keras_like,
        {"train": keras_like[0], "test": keras_like[1]},
        {"Training": keras_like[0], "eval": keras_like[1]},
    ):
        dataset = load(data)
        assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 16, "test": 8}
        images, labels = dataset["test"].to_numpy()
        np.testing.assert_array_equal(np.sort(images, axis=0), np.sort(IMAGES[16:], axis=0))
        assert sorted(labels) == [0] * 4 + [1] * 4
    three = load((keras_like[0], (IMAGES[16:20], [0, 1, 0, 1]), (IMAGES[20:], [0, 1, 0, 1])))
    assert {name: len(split) for name, split in three.splits.items()} == {"train": 16, "validation": 4, "test": 4}


def test_gray_images_and_images_of_several_sizes():
    gray = IMAGES[:, :, :, 0]
    pixels = {image.tobytes() for image in np.repeat(gray[..., None], 3, axis=3)}
    assert set(read(load((gray, LABELS)))) == set(read(load((gray[..., None], LABELS)))) == pixels
    sizes = [photo(40 + number, 60, seed=number) for number in range(COUNT)]
    assert load((sizes, LABELS), image_size=32).splits["train"].store.shape[1:] == (32, 32, 3)


def test_a_data_frame_of_paths(paths, monkeypatch):
    frame = pd.DataFrame({"image": paths, "label": LABELS, "patient": [number // 4 for number in range(COUNT)]})
    dataset = load(frame)
    assert read(dataset) == EXPECTED
    groups: dict[int, set[str]] = {}
    for name, split in dataset.splits.items():
        for image in split.names:
            groups.setdefault(int(image.rpartition("/")[2].removesuffix(".png")) // 4, set()).add(name)
    assert all(len(found) == 1 for found in groups.values())
    monkeypatch.chdir(paths[0].parent)
    named = frame.assign(image=[path.name for path in paths], split=["train"] * 16 + ["test"] * 8).drop(
        columns="patient"
    )
    assert {name: len(split) for name, split in load(named).splits.items()} == {"train": 16, "test": 8}
    other = named.rename(columns={"label": "species"})
    assert read(load(other, reading=ReadingOptions(label_column="species"))) == EXPECTED


@pytest.mark.parametrize(
    "kind", [Image.fromarray, lambda image: image, lambda image: {"bytes": png(image), "path": None}]
)
def test_a_data_frame_of_images(kind):
    frame = pd.DataFrame(
        {"image": [kind(image) for image in IMAGES], "label": LABELS, "split": ["train"] * 16 + ["test"] * 8}
    )
    dataset = load(frame)
    assert read(dataset) == EXPECTED
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 16, "test": 8}


def png(image):
    import io

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def of_hugging_face(positions):
    features = hugging_face.Features(
        {"image": hugging_face.Image(), "label": hugging_face.ClassLabel(names=["dog", "cat"])}
    )
    rows = {
        "image": [{"bytes": png(IMAGES[position]), "path": None} for position in positions],
        "label": [int(LABELS[position] == "cat") for position in positions],
    }
    return hugging_face.Dataset.from_dict(rows, features=features)


def test_a_data_set_of_hugging_face():
    assert read(load(of_hugging_face(range(COUNT)))) == EXPECTED
    parts = hugging_face.DatasetDict({"train": of_hugging_face(range(16)), "test": of_hugging_face(range(16, COUNT))})
    dataset = load(parts)
    assert read(dataset) == EXPECTED
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 16, "test": 8}


def test_splits_and_datasets_are_containers():
    dataset = load(((IMAGES[:16], LABELS[:16]), (IMAGES[16:], LABELS[16:])))
    split = dataset["train"]
    assert (len(split), len(dataset), list(dataset)) == (16, 2, ["train", "test"])
    image, label = split[-1]
    images, labels = split.to_numpy()
    np.testing.assert_array_equal(image, images[15])
    assert label == labels[15]
    assert [label for _, label in split] == labels.tolist()
    images[:] = 0  # a copy
    assert split[0][0].any()
    with pytest.raises(IndexError):
        split[16]
    assert set(dataset.to_numpy()) == {"train", "test"}


def test_rows_of_a_data_frame_that_a_label_file_would_leave_out_are_left_out(paths):
    frame = pd.DataFrame({"image": [*paths, paths[0], paths[1]], "label": [*LABELS, "cat", "cat"]})
    frame.loc[5, "label"] = None
    dataset = load(frame)
    assert len(read(dataset)) == COUNT - 2
    assert f"left out: 1 image with two labels: {paths[0]}" in dataset.notes
    assert f"1 image in several rows, with the same label: {paths[1]}" in dataset.notes
    assert "left out: rows of DataFrame without a label: line 5" in dataset.notes


def test_slices_of_a_split():
    split = load((IMAGES, LABELS)).splits["train"]
    part = split[2:5]
    assert (len(part), part.names) == (3, split.names[2:5])
    np.testing.assert_array_equal(part[0][0], split[2][0])
    with pytest.raises(IndexError, match="position 99 of a split of"):
        split[99]


WRONG = {
    "an array alone": IMAGES,
    "three values": (IMAGES, LABELS, LABELS),
    "a number": 3.5,
    "fewer labels": (IMAGES, LABELS[1:]),
    "no labels": (IMAGES, None),
    "labels of a wrong shape": (IMAGES, np.zeros((COUNT, 2, 2))),
    "rows with two classes": (IMAGES, np.ones((COUNT, 2))),
    "an empty label": (IMAGES, ["", *LABELS[1:]]),
    "a missing label": (IMAGES, [None, *LABELS[1:]]),
    "a label that is no number": (IMAGES, [float("nan"), *LABELS[1:]]),
    "one image of another range": ([IMAGES[0] / 255, *(IMAGES[1:] * 1.0)], LABELS),
    "whole numbers of 0 and 1": ((IMAGES > 100).astype(np.uint8), LABELS),
    "half a class": (IMAGES, [0.5] * COUNT),
    "one class": (IMAGES, ["cat"] * COUNT),
    "no images": ([], []),
    "an array of two axes": (IMAGES[:, :, 0, 0], LABELS),
    "an array of five axes": (IMAGES[None], LABELS),
    "values that are no images": ([1] * COUNT, LABELS),
    "a path alone": ("photos", LABELS),
    "pixels out of range": (IMAGES * 2.0 + 1, LABELS),
    "negative pixels": (IMAGES * -1.0, LABELS),
    "pixels of two ranges": ([IMAGES[0] * 1.0, *(IMAGES[1:] / 255)], LABELS),
    "channels first": ([image.transpose(2, 0, 1) for image in IMAGES], LABELS),
    "a dictionary of other names": {"a": (IMAGES, LABELS)},
    "a dictionary without training images": {"test": (IMAGES, LABELS)},
    "a table without labels": pd.DataFrame({"image": ["a.png"]}),
    "a table with a missing label": pd.DataFrame(
        {"image": list(map(Image.fromarray, IMAGES[:3])), "label": ["a", "b", None]}
    ),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_wrong_data_is_one_plain_error(data):
    with pytest.raises(DataError) as caught:
        load(data)
    assert caught.value.problem
    assert len(str(caught.value)) < 600


def test_unreadable_images_are_left_out(paths, tmp_path):
    write(paths[3], b"no image")
    dataset = load((paths, LABELS))
    assert [image.reason for image in dataset.unreadable] == ["not an image: it looks like text"]
    assert len(read(dataset)) == COUNT - 1
