"""How many planted faults `saccade audit` finds, and how long it takes.

    python benchmarks/audit.py DATA [--sheet sheet.png]      # near duplicates
    python benchmarks/audit.py DATA --label-noise random     # label errors
    python benchmarks/audit.py DATA --label-noise similar

DATA is CIFAR-10. Near duplicates: 500 of its images are added once more, 125 each re-encoded as JPEG of quality 60,
shifted by a pixel, brightened and mirrored (all of them re-encoded besides). Which split an image stands in makes no
difference to the search. The recall is that of the planted pairs; of the other pairs that are called near duplicates,
200 drawn at random go to an image, to be judged by eye. Label errors: 5% of all labels flipped at random, or to the
most similar class, and the precision among as many labels as were flipped, ranked by their doubtfulness.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.label_errors import label_quality
from saccade.auditing.out_of_fold import audit_recipe, out_of_fold_probabilities
from saccade.data.dataset import Dataset
from saccade.data.load import load
from saccade.data.near_duplicates.near_duplicates import make_thumbnails, near_pairs
from saccade.experiments.fold_assignment import assign_folds

Pixels = NDArray[np.uint8]

_EACH = 125
_QUALITY = 60
_SHOWN = 200
_ACROSS = 20
_FLIPPED = 0.05
# The class that each of CIFAR-10's is most often taken for.
_SIMILAR = {
    "airplane": "ship", "automobile": "truck", "bird": "airplane", "cat": "dog", "deer": "horse",
    "dog": "cat", "frog": "bird", "horse": "deer", "ship": "airplane", "truck": "automobile",
}  # fmt: skip


def main() -> None:
    """Plants, audits and prints."""
    parser = argparse.ArgumentParser(description="How many planted faults an audit finds.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10: a name, a folder or an archive")
    parser.add_argument(
        "--label-noise", choices=["random", "similar"], help="flip labels so instead of planting duplicates"
    )
    parser.add_argument("--folds", type=int, default=5, help="trainings, with --label-noise")
    parser.add_argument("--every", type=int, default=1, help="only each so manieth image, with --label-noise")
    parser.add_argument("--sheet", type=Path, default=Path("audit-pairs.png"), help="where the other pairs are drawn")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset, rng = load(options.data, progress=True), np.random.default_rng(options.seed)
    if options.label_noise:
        label_noise(dataset, rng, options.label_noise, options.folds, options.every)
    else:
        near_duplicates(dataset, rng, options.sheet)


def near_duplicates(dataset: Dataset, rng: np.random.Generator, sheet: Path) -> None:
    """Plants near duplicates among the images of all splits, and prints how many are found and how long it took."""
    images = AuditedImages.of(dataset).all
    own = make_thumbnails(images.store, images.rows)
    sources = rng.choice(len(own), 4 * _EACH, replace=False)
    makers = {"re-encoded": lambda image: image, "shifted": shifted, "brightened": brightened, "mirrored": mirrored}
    planted = [
        maker(own[source]) for maker, source in zip(np.repeat(list(makers.values()), _EACH), sources, strict=True)
    ]
    began = time.perf_counter()
    small = np.concatenate([own, [encoded(image) for image in planted]])
    pairs, _ = near_pairs(small)
    seconds = time.perf_counter() - began
    found = set(map(tuple, pairs.tolist()))
    hits = np.array([(int(source), len(own) + place) in found for place, source in enumerate(sources)])
    for place, name in enumerate(makers):
        print(f"{name}: {hits[place * _EACH : (place + 1) * _EACH].sum()} of {_EACH} found")
    others = pairs[pairs[:, 1] < len(own)]
    print(f"all: {hits.mean():.1%} of {len(hits)} found; {len(small):,} images in {seconds:.0f} s")
    print(f"other pairs called near duplicates: {len(others):,}; {min(_SHOWN, len(others))} of them in {sheet}")
    draw_pairs(small, rng.permutation(others)[:_SHOWN], sheet)


def encoded(image: Pixels) -> Pixels:
    """What is left of an image after JPEG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "JPEG", quality=_QUALITY)
    decoded: Pixels = np.asarray(Image.open(stream))
    return decoded


def shifted(image: Pixels) -> Pixels:
    """By a pixel down and to the right, the edges repeated."""
    padded: Pixels = np.pad(image, ((1, 0), (1, 0), (0, 0)), mode="edge")[:-1, :-1]
    return padded


def brightened(image: Pixels) -> Pixels:
    """By a quarter and a little more, cut off at white."""
    brighter: Pixels = np.clip(image * 1.25 + 12, 0, 255).astype(np.uint8)
    return brighter


def mirrored(image: Pixels) -> Pixels:
    """Left and right exchanged."""
    turned: Pixels = image[:, ::-1]
    return turned


def draw_pairs(small: Pixels, pairs: NDArray[np.int64], path: Path) -> None:
    """A sheet of pairs, one above the other, twenty in a row."""
    tiles = [np.pad(np.concatenate(small[pair]), ((3, 3), (2, 2), (0, 0)), constant_values=255) for pair in pairs]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % _ACROSS)
    rows = [np.concatenate(tiles[at : at + _ACROSS], axis=1) for at in range(0, len(tiles), _ACROSS)]
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST).save(path)


def label_noise(dataset: Dataset, rng: np.random.Generator, sort: str, folds: int, every: int) -> None:
    """Flips labels, trains the folds, and prints the precision among as many as were flipped."""
    few = {name: split.subset(np.arange(0, len(split), every)) for name, split in dataset.splits.items()}
    dataset = replace(dataset, splits=few)
    names = dataset.class_names
    similar = np.array([names.index(_SIMILAR[name]) for name in names])
    images = AuditedImages.of(dataset)
    labels = images.all.labels.copy()
    flipped = rng.choice(len(labels), round(_FLIPPED * len(labels)), replace=False)
    steps = rng.integers(1, len(names), len(flipped))
    labels[flipped] = similar[labels[flipped]] if sort == "similar" else (labels[flipped] + steps) % len(names)
    noisy = replace(images, all=replace(images.all, labels=labels))
    began = time.perf_counter()
    recipe = audit_recipe(None, dataset.preprocessing.height, dataset.preprocessing.width)
    dealt = assign_folds(labels, np.arange(len(labels)), folds)
    probabilities = out_of_fold_probabilities(dataset, noisy, dealt, recipe, progress=True)
    ranked = np.argsort(label_quality(labels, probabilities), kind="stable")[: len(flipped)]
    precision = np.isin(ranked, flipped).mean()
    accuracy = (probabilities.argmax(axis=1) == images.all.labels).mean()
    where = {"random": "at random", "similar": "to the most similar class"}[sort]
    print(
        f"5% flipped {where}: precision {precision:.1%} among {len(flipped):,} labels; out-of-fold accuracy "
        f"{accuracy:.1%}; {(time.perf_counter() - began) / 60:.1f} minutes"
    )


if __name__ == "__main__":
    main()
