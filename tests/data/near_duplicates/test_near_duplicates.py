"""Copies of pictures are found, exact and near, and splits that Saccade makes keep them together."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

import saccade
from saccade.data.near_duplicates.near_duplicates import find_copies
from saccade.data.near_duplicates.perceptual_hash import candidate_pairs
from saccade.data.splits import parts_of


def drawings(n, side=64, seed=0):
    """Pictures that differ: a few random soft rectangles on random ground each."""
    random = np.random.default_rng(seed)

    def colour():
        return random.integers(30, 180) + random.integers(0, 30, 3)

    pictures = []
    for _ in range(n):
        picture = np.full((side, side, 3), colour(), np.uint8)
        for _ in range(12):
            top, left = random.integers(0, side - 8, 2)
            height, width = random.integers(4, side // 2, 2)
            picture[top : top + height, left : left + width] = colour()
        pictures.append(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1)))
    return pictures


def encoded(picture, quality=70):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


CHANGES = {
    "re-encoded": lambda picture: encoded(picture, 50),
    "brightened": lambda picture: encoded(ImageEnhance.Brightness(picture).enhance(1.2)),
    "shifted": lambda picture: Image.fromarray(np.pad(np.asarray(picture), ((1, 0), (1, 0), (0, 0)), "edge")[:-1, :-1]),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_copies_get_the_same_number_and_other_pictures_none(change):
    originals = drawings(200, side=32)
    changed = [CHANGES[change](picture) for picture in originals[:50]]
    store = np.stack([np.asarray(picture.convert("RGB")) for picture in [*originals, *changed]])
    copies = find_copies(store, np.arange(250), [str(number) for number in range(250)])
    together = copies.near[:50] == copies.near[200:]
    assert together.mean() >= 0.95
    assert len(np.unique(copies.near[:200])) == 200
    assert not copies.strict


def test_candidates_do_not_depend_on_the_size_of_the_blocks(monkeypatch):
    store = np.stack([np.asarray(picture) for picture in drawings(150, side=32)])
    store = np.concatenate([store, 255 - (255 - store) // 2])
    whole = candidate_pairs(store)
    monkeypatch.setattr("saccade.data.near_duplicates.perceptual_hash._ROWS", 7)
    monkeypatch.setattr("saccade.data.near_duplicates.perceptual_hash._COLUMNS", 50)
    parts = candidate_pairs(store)
    assert len(whole[0]) > 20
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def folder_with_copies(tmp_path):
    for label, name in enumerate(("left", "right")):
        (tmp_path / name).mkdir()
        for number, picture in enumerate(drawings(60, side=48, seed=label)):
            picture.save(tmp_path / name / f"{number}.png")
            encoded(picture).save(tmp_path / name / f"{number} again.jpg")
    return tmp_path


def test_a_made_split_keeps_the_copies_of_a_picture_together(folder_with_copies):
    dataset = saccade.load(folder_with_copies)
    parts = parts_of(dataset, validation=0.2, seed=0)
    assert dataset.test_is_made
    places = {name: part for part, split in parts.items() for name in split.names}
    assert len(places) == 240
    assert all(len(split) > 10 for split in parts.values())
    for name, part in places.items():
        if name.endswith(" again.jpg"):
            assert part == places[name.replace(" again.jpg", ".png")]
