"""Note on images that lose area by fit "crop", and datasets of each fit."""

import tarfile

import numpy as np
import pytest
from tests.data.images import class_folder, encode, photo, write

from saccade.data.cache.disk_cache import cache_folder
from saccade.data.crop_loss import crop_loss, crop_notes
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode
from saccade.data.explore import explore
from saccade.data.load import load

pytestmark = pytest.mark.usefixtures("own_cache")


def folder_with(tmp_path, narrow, square):
    """Create two classes, together with `narrow` images of 20x40 pixels and `square` images of 40x40 pixels."""
    for number in range(narrow + square):
        height = 20 if number < narrow else 40
        name = f"data/{'ab'[number % 2]}/{number}.png"
        write(tmp_path / name, encode(photo(height, 40, seed=number), "PNG"))
    return tmp_path / "data"


def test_the_lost_fraction_of_the_area():
    sizes = np.array([[100, 100], [100, 200], [200, 100], [80, 100], [300, 400], [1, 1000]], np.int32)
    np.testing.assert_allclose(crop_loss(sizes, Preprocessing(64, 64)), [0, 0.5, 0.5, 0.2, 0.25, 0.999])
    np.testing.assert_allclose(crop_loss(sizes, Preprocessing(32, 64)), [0.5, 0, 0.75, 0.375, 1 / 3, 0.998])


@pytest.mark.parametrize(("narrow", "noted"), [(3, False), (4, True), (20, True)])
def test_a_note_from_a_fifth_of_the_images_on(tmp_path, narrow, noted):
    notes = explore(folder_with(tmp_path, narrow, 20 - narrow), image_size=16).notes
    found = [note for note in notes if "of their area" in note]
    assert len(found) == noted
    if noted:
        assert found[0].startswith(f"{narrow} of 20 images lose more than a fifth of their area")
        assert "--set fit=pad" in found[0]
        assert "--set fit=squash" in found[0]


def test_no_note_where_nothing_is_cut_off(tmp_path):
    data = folder_with(tmp_path, 20, 0)
    assert crop_notes(load(data, image_size=16, fit="crop"))
    for fit in ("pad", "squash"):
        assert crop_notes(load(data, image_size=16, fit=fit)) == ()
        assert explore(data, image_size=16, fit=fit).fit == fit


@pytest.mark.parametrize("image_size", [None, 24])
def test_each_fit_is_decoded_once_and_kept_apart_in_the_cache(tmp_path, image_size):
    data = folder_with(tmp_path, 10, 10)
    for fit in ("crop", "pad", "squash", "pad", "crop"):
        dataset = load(data, image_size=image_size, fit=fit)
        assert dataset.preprocessing == Preprocessing(image_size or 32, image_size or 32, fit=fit)
        split = dataset.splits["train"]
        for position, name in enumerate(split.names):
            expected = decode((data / name).read_bytes(), dataset.preprocessing).pixels
            np.testing.assert_array_equal(split.take(slice(position, position + 1))[0], expected)
    assert len(list(cache_folder().glob("decoded/*/pixels.npy"))) == 3


def test_arrays_and_archives_have_a_fit(tmp_path):
    assert load("digits", image_size=16, fit="squash").preprocessing == Preprocessing(16, 16, fit="squash")
    animals = class_folder(tmp_path / "animals", size=(32, 48))
    with tarfile.open(tmp_path / "animals.tar", "w") as archive:
        archive.add(animals, "animals")
    packed, unpacked = load(tmp_path / "animals.tar", image_size=16, fit="pad"), load(animals, image_size=16, fit="pad")
    assert packed.preprocessing == unpacked.preprocessing == Preprocessing(16, 16, fit="pad")
    np.testing.assert_array_equal(packed.splits["test"].take(slice(None)), unpacked.splits["test"].take(slice(None)))


def test_photographs_are_padded_by_default_and_small_images_cropped(field_cases, shared_data):
    assert load(shared_data / "brain_mri.tar").preprocessing == Preprocessing(224, 224, fit="pad")
    assert load(field_cases / "pixels/wide").preprocessing == Preprocessing(32, 32, fit="crop")
    assert load(field_cases / "pixels/wide", image_size=65).preprocessing.fit == "pad"
    assert load(field_cases / "pixels/wide", image_size=65, fit="crop").preprocessing.fit == "crop"
