"""Search for near-duplicates, and splits by Saccade that keep duplicates together."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

import saccade
from saccade.data.near_duplicates.near_duplicates import find_near_duplicates
from saccade.data.near_duplicates.perceptual_hash import candidate_pairs
from saccade.data.splits import splits_of


def synthetic_images(n, side=64, seed=0):
    """Return different images of random blurred rectangles on a random background."""
    random = np.random.default_rng(seed)

    def color():
        return random.integers(30, 180) + random.integers(0, 30, 3)

    images = []
    for _ in range(n):
        image = np.full((side, side, 3), color(), np.uint8)
        for _ in range(12):
            top, left = random.integers(0, side - 8, 2)
            height, width = random.integers(4, side // 2, 2)
            image[top : top + height, left : left + width] = color()
        images.append(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1)))
    return images


def encoded(image, quality=70):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


CHANGES = {
    "re-encoded": lambda image: encoded(image, 50),
    "brightened": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.2)),
    "shifted": lambda image: Image.fromarray(np.pad(np.asarray(image), ((1, 0), (1, 0), (0, 0)), "edge")[:-1, :-1]),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_duplicates_are_in_one_group_and_other_images_are_not(change):
    originals = synthetic_images(200, side=32)
    changed = [CHANGES[change](image) for image in originals[:50]]
    store = np.stack([np.asarray(image.convert("RGB")) for image in [*originals, *changed]])
    duplicates = find_near_duplicates(store, np.arange(250), [str(number) for number in range(250)])
    together = duplicates.near[:50] == duplicates.near[200:]
    assert together.mean() >= 0.95
    assert len(np.unique(duplicates.near[:200])) == 200
    assert not duplicates.strict


def test_candidate_pairs_are_independent_of_the_block_size(monkeypatch):
    store = np.stack([np.asarray(image) for image in synthetic_images(150, side=32)])
    store = np.concatenate([store, 255 - (255 - store) // 2])
    whole = candidate_pairs(store)
    monkeypatch.setattr("saccade.data.near_duplicates.perceptual_hash._ROWS", 7)
    monkeypatch.setattr("saccade.data.near_duplicates.perceptual_hash._COLUMNS", 50)
    in_blocks = candidate_pairs(store)
    assert len(whole[0]) > 20
    for one, other in zip(whole, in_blocks, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def folder_with_duplicates(tmp_path):
    for label, name in enumerate(("left", "right")):
        (tmp_path / name).mkdir()
        for number, image in enumerate(synthetic_images(60, side=48, seed=label)):
            image.save(tmp_path / name / f"{number}.png")
            encoded(image).save(tmp_path / name / f"{number} again.jpg")
    return tmp_path


def test_splits_made_by_saccade_keep_duplicates_together(folder_with_duplicates):
    dataset = saccade.load(folder_with_duplicates)
    splits = splits_of(dataset, validation_split=0.2, seed=0)
    assert dataset.test_is_made
    split_of = {name: split_name for split_name, split in splits.items() for name in split.names}
    assert len(split_of) == 240
    assert all(len(split) > 10 for split in splits.values())
    for name, split_name in split_of.items():
        if name.endswith(" again.jpg"):
            assert split_name == split_of[name.replace(" again.jpg", ".png")]
