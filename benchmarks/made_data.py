"""Three labeled data sets derived from CIFAR-10.

`placed`: 64x64 pixels, 10 classes. An image, enlarged to 48x48 pixels, is placed at a random position on another image,
which is enlarged and blurred. The class is that of the image in front.

`pairs`: 32 pixels high and 64 wide, 25 classes. Two images side by side: the left image is of one of the first five
classes, the right image of one of the other five. Each combination is a class.

`cats-and-dogs`: 32x32 pixels, 2 classes, five dogs per cat.

Training images are derived from training images only, test images from test images only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from saccade.data.dataset import Dataset, Split, SplitName

# A class name and an image.
Labeled = tuple[str, Image.Image]

_SPLITS: tuple[SplitName, ...] = ("train", "test")
# Numbers of images per split.
_PLACED = {"train": 5_000, "test": 2_000}
_PAIRS = {"train": 10_000, "test": 4_000}
_DOGS_PER_CAT = 5


def make_data(dataset: Dataset, folder: Path, only: str | None = None) -> dict[str, Path]:
    """Create the three data sets, or one of them, as folders of PNG files.

    Args:
        dataset: CIFAR-10 or a copy of it, with its test split.
        folder: parent folder.
        only: name of the only data set to create, one of `SETS`; None: all.

    Returns:
        Folders with train/CLASS/image and test/CLASS/image, by name.
    """
    folders = {}
    for seed, (name, make) in enumerate(_MAKERS.items()):
        if only not in (None, name):
            continue
        folders[name] = folder / name
        for number, split in enumerate(_SPLITS):
            random = np.random.default_rng([seed, number])
            for index, (label, image) in enumerate(make(dataset, split, random)):
                path = folders[name] / split / label / f"{index:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
    return folders


def _placed(dataset: Dataset, split: SplitName, random: np.random.Generator) -> Iterator[Labeled]:
    images = dataset.splits[split]
    fronts, backs = (random.permutation(len(images))[: _PLACED[split]] for _ in range(2))
    for front, back in zip(fronts, backs, strict=True):
        background = _image(images, back).resize((64, 64), Image.Resampling.BICUBIC)
        background = background.filter(ImageFilter.GaussianBlur(3))
        left, top = random.integers(0, 64 - 48 + 1, 2)
        background.paste(_image(images, front).resize((48, 48), Image.Resampling.BICUBIC), (int(left), int(top)))
        yield dataset.class_names[images.labels[front]], background


def _pairs(dataset: Dataset, split: SplitName, random: np.random.Generator) -> Iterator[Labeled]:
    images, n = dataset.splits[split], _PAIRS[split]
    first_five = images.labels < 5
    lefts, rights = (random.permutation(np.flatnonzero(side))[:n] for side in (first_five, ~first_five))
    for left, right in zip(lefts, rights, strict=True):
        pair = np.concatenate([np.asarray(_image(images, each)) for each in (left, right)], axis=1)
        names = [dataset.class_names[images.labels[each]] for each in (left, right)]
        yield "-".join(names), Image.fromarray(pair)


def _cats_and_dogs(dataset: Dataset, split: SplitName, random: np.random.Generator) -> Iterator[Labeled]:
    images = dataset.splits[split]
    cats, dogs = (_of_class(dataset, images, name) for name in ("cat", "dog"))
    cats = random.permutation(cats)[: len(dogs) // _DOGS_PER_CAT]
    for index in (*cats, *dogs):
        yield dataset.class_names[images.labels[index]], _image(images, index)


def _of_class(dataset: Dataset, images: Split, name: str) -> NDArray[np.int64]:
    return np.flatnonzero(images.labels == list(dataset.class_names).index(name))


def _image(images: Split, index: int) -> Image.Image:
    return Image.fromarray(images.take(np.array([index]))[0])


_MAKERS: dict[str, Callable[[Dataset, SplitName, np.random.Generator], Iterator[Labeled]]] = {
    "placed": _placed,
    "pairs": _pairs,
    "cats-and-dogs": _cats_and_dogs,
}

SETS = tuple(_MAKERS)
"""Names of the three data sets."""
