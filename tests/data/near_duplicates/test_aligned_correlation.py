"""Correlation of photographs with altered duplicates and with other photographs."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from saccade.data.near_duplicates.aligned_correlation import aligned_correlations
from saccade.data.near_duplicates.near_duplicates import find_near_duplicates

SIDE = 160


@pytest.fixture(scope="module")
def images(photographs):
    opened = [Image.open(path).convert("RGB") for path in sorted(photographs.rglob("*.jpg"))[::4]]
    return [image.crop((0, 0, min(image.size), min(image.size))) for image in opened]


def stored(images):
    return np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images])


def part(image, left, top, share):
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int((left + share) * width), int((top + share) * height)))


ALTERATIONS = {
    "upper left": lambda image: part(image, 0, 0, 0.8),
    "lower right": lambda image: part(image, 0.2, 0.2, 0.8),
    "mirrored": lambda image: part(image, 0.1, 0.2, 0.8).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "rotated": lambda image: part(image.rotate(6, Image.Resampling.BICUBIC), 0.1, 0.1, 0.8),
    "dark": lambda image: part(ImageEnhance.Brightness(image).enhance(0.6), 0.1, 0, 0.85),
}


@pytest.mark.parametrize("kind", ALTERATIONS)
@pytest.mark.parametrize("altered_first", [False, True])
def test_altered_duplicates_are_found(images, kind, altered_first):
    altered = [ALTERATIONS[kind](image) for image in images]
    n = len(images)
    store = stored(altered + images if altered_first else images + altered)
    rows = np.arange(2 * n)
    found = aligned_correlations(store, rows, np.column_stack([rows[:n], rows[n:]]))
    assert (found >= 0.85).mean() >= 2 / 3  # some have few details, such as white trousers on white
    assert found.max() <= 1 + 1e-5
    hashes = find_near_duplicates(store, rows, [str(row) for row in rows])
    assert (hashes.near[:n] == hashes.near[n:]).sum() <= 2  # hashes and small shifts do not find these


def test_different_photographs_do_not_agree(images):
    rows = np.arange(len(images))
    pairs = np.array([(one, other) for one in rows for other in rows if one < other])
    assert (aligned_correlations(stored(images), rows, pairs) < 0.85).all()


def test_padding_is_no_part_of_an_image(images):
    image = images[0].resize((SIDE, SIDE))
    padded = Image.new("RGB", (SIDE, SIDE), "white")
    padded.paste(image.resize((SIDE, SIDE // 2)), (0, SIDE // 4))
    store = np.stack([np.asarray(image), np.asarray(padded)])
    boxes = np.array([(0, 0, SIDE, SIDE), (0, SIDE // 4, SIDE, SIDE - SIDE // 4)])
    (found,) = aligned_correlations(store, np.arange(2), np.array([[0, 1]]), boxes=boxes)
    assert found > 0.95


def test_no_pairs_and_images_without_details():
    gray = np.full((2, SIDE, SIDE, 3), 128, np.uint8)
    assert aligned_correlations(gray, np.arange(2), np.zeros((0, 2), np.int64)).shape == (0,)
    assert aligned_correlations(gray, np.arange(2), np.array([[0, 1]])).tolist() == [0.0]
