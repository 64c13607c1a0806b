"""Other data for a classifier: scored as a whole, with the classes in the order of the classifier."""

import numpy as np
import pytest
from tests.data.images import class_folder, encode, photo, write

from saccade.data.dataset import Preprocessing
from saccade.data.load import load, load_for_scoring
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.known_classes import KnownClasses
from saccade.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")

KNOWN = KnownClasses(("owl", "dog", "cat"))
SIZE = Preprocessing(32, 32)


def names_of_images(dataset):
    """Return the class of each image by split and name."""
    return {
        (name, image): dataset.class_names[label]
        for name, split in dataset.splits.items()
        for image, label in zip(split.names, split.labels.tolist(), strict=True)
    }


def test_a_folder_that_lacks_a_class_is_one_test_split(tmp_path):
    dataset = load_for_scoring(class_folder(tmp_path / "new", ("cat", "dog"), count=3), SIZE, KNOWN)
    assert dataset.class_names == KNOWN.names
    found = names_of_images(dataset)
    assert found == {("test", f"{name}/{number:03}.png"): name for name in ("cat", "dog") for number in range(3)}


def test_a_label_file_in_another_order_of_classes(tmp_path):
    for number, name in enumerate(("cat", "owl", "dog")):
        write(tmp_path / f"{name}.png", encode(photo(32, 32, seed=number), "PNG"))
    path = write(tmp_path / "labels.csv", b"file_name,label\ncat.png,cat\nowl.png,owl\ndog.png,dog\n")
    found = names_of_images(load_for_scoring(path, SIZE, KNOWN))
    assert found == {("test", f"{name}.png"): name for name in KNOWN.names}


def test_named_data_gets_the_labels_of_the_classifier():
    digits = load("digits")
    order = KnownClasses(tuple(reversed(digits.class_names)))
    scored = load_for_scoring("digits", digits.preprocessing, order)
    for name, split in digits.splits.items():
        np.testing.assert_array_equal(scored.splits[name].labels, 9 - split.labels)


def test_unknown_classes_and_another_case(tmp_path):
    folder = class_folder(tmp_path / "new", ("Cat", "dog"), count=2)
    with pytest.raises(DataError, match="if Cat is cat, add --ignore-case"):
        load_for_scoring(folder, SIZE, KNOWN)
    options = ReadingOptions(ignore_case=True)
    known = KnownClasses.of(KNOWN.names, options)
    assert set(names_of_images(load_for_scoring(folder, SIZE, known, reading=options)).values()) == {"cat", "dog"}
    with pytest.raises(DataError, match="classes that the run does not know"):
        load_for_scoring("digits", SIZE, KNOWN)
