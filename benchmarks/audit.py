"""Recall of near-duplicates and precision of label errors of `saccade audit`, with run time.

    python benchmarks/audit.py DATA [--sheet sheet.png]      # near-duplicates
    python benchmarks/audit.py DATA --label-noise random     # label errors
    python benchmarks/audit.py DATA --label-noise similar [--seed 0] [--recipe NAME]

DATA is CIFAR-10, or photographs for label errors. Near-duplicates: modified copies of 500 images are added, 125 each
re-encoded as JPEG of quality 60, shifted by a pixel, brightened and mirrored (all of them are re-encoded too). The
search does not depend on the split of an image. The recall is the fraction of added pairs that are found. Of the other
pairs that are found, 200 random ones are saved as an image for inspection. Label errors: 5% of all labels are changed
at random or to the most similar class: of CIFAR-10 as listed, of photographs that with the nearest mean of the
features. The precision is the fraction of changed labels among the labels with the lowest label quality, as many as
were changed.
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
from saccade.auditing.out_of_fold import (
    audit_recipe,
    out_of_fold_probabilities,
    predicts_by_features,
    pretrained_features,
    probabilities_by_features,
)
from saccade.data.dataset import Dataset
from saccade.data.load import load
from saccade.data.near_duplicates.near_duplicates import make_thumbnails, near_pairs
from saccade.experiments.fold_assignment import assign_folds
from saccade.labeling.embeddings import embed

Pixels = NDArray[np.uint8]

_PER_TYPE = 125
_QUALITY = 60
_NUM_PLOTTED = 200
_COLUMNS = 20
_FLIP_RATE = 0.05
# The most similar class of each class of CIFAR-10.
_SIMILAR = {
    "airplane": "ship", "automobile": "truck", "bird": "airplane", "cat": "dog", "deer": "horse",
    "dog": "cat", "frog": "bird", "horse": "deer", "ship": "airplane", "truck": "automobile",
}  # fmt: skip


def main() -> None:
    """Add faults, audit and print."""
    parser = argparse.ArgumentParser(description="Measures recall and precision of an audit with artificial faults.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10: a name, a folder or an archive")
    parser.add_argument(
        "--label-noise", choices=["random", "similar"], help="flip labels in this way instead of adding near-duplicates"
    )
    parser.add_argument("--folds", type=int, default=5, help="number of trainings, with --label-noise")
    parser.add_argument("--every", type=int, default=1, help="use only every n-th image, with --label-noise")
    parser.add_argument("--sheet", type=Path, default=Path("audit-pairs.png"), help="path of the image of other pairs")
    parser.add_argument("--recipe", help="recipe of the trainings, with --label-noise; default: that of the audit")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset, rng = load(options.data, progress=True), np.random.default_rng(options.seed)
    if options.label_noise:
        label_noise(dataset, rng, options)
    else:
        near_duplicates(dataset, rng, options.sheet)


def near_duplicates(dataset: Dataset, rng: np.random.Generator, sheet: Path) -> None:
    """Add near-duplicates to the images of all splits, and print recall and run time."""
    images = AuditedImages.of(dataset).all
    originals = make_thumbnails(images.store, images.rows)
    sources = rng.choice(len(originals), 4 * _PER_TYPE, replace=False)
    makers = {"re-encoded": lambda image: image, "shifted": shifted, "brightened": brightened, "mirrored": mirrored}
    added = [
        maker(originals[source])
        for maker, source in zip(np.repeat(list(makers.values()), _PER_TYPE), sources, strict=True)
    ]
    began = time.perf_counter()
    thumbnails = np.concatenate([originals, [encoded(image) for image in added]])
    pairs, _ = near_pairs(thumbnails)
    seconds = time.perf_counter() - began
    found = set(map(tuple, pairs.tolist()))
    hits = np.array([(int(source), len(originals) + position) in found for position, source in enumerate(sources)])
    for position, name in enumerate(makers):
        print(f"{name}: {hits[position * _PER_TYPE :][:_PER_TYPE].sum()} of {_PER_TYPE} found")
    others = pairs[pairs[:, 1] < len(originals)]
    print(f"all: {hits.mean():.1%} of {len(hits)} found; {len(thumbnails):,} images in {seconds:.0f} s")
    print(f"other pairs found: {len(others):,}; {min(_NUM_PLOTTED, len(others))} of them in {sheet}")
    save_pairs(thumbnails, rng.permutation(others)[:_NUM_PLOTTED], sheet)


def encoded(image: Pixels) -> Pixels:
    """Encode an image as JPEG and decode it."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "JPEG", quality=_QUALITY)
    decoded: Pixels = np.asarray(Image.open(stream))
    return decoded


def shifted(image: Pixels) -> Pixels:
    """Shift an image by a pixel down and to the right, with repeated edges."""
    padded: Pixels = np.pad(image, ((1, 0), (1, 0), (0, 0)), mode="edge")[:-1, :-1]
    return padded


def brightened(image: Pixels) -> Pixels:
    """Brighten an image by 25% and 12 gray levels, clipped at white."""
    brighter: Pixels = np.clip(image * 1.25 + 12, 0, 255).astype(np.uint8)
    return brighter


def mirrored(image: Pixels) -> Pixels:
    """Flip an image horizontally."""
    flipped: Pixels = image[:, ::-1]
    return flipped


def save_pairs(thumbnails: Pixels, pairs: NDArray[np.int64], path: Path) -> None:
    """Save an image of pairs, one image above the other, twenty pairs in a row."""
    tiles = [np.pad(np.concatenate(thumbnails[pair]), ((3, 3), (2, 2), (0, 0)), constant_values=255) for pair in pairs]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % _COLUMNS)
    rows = [np.concatenate(tiles[at : at + _COLUMNS], axis=1) for at in range(0, len(tiles), _COLUMNS)]
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST).save(path)


def most_similar_classes(dataset: Dataset, images: AuditedImages) -> NDArray[np.int64]:
    """Return the most similar class of each class, int64 [classes]."""
    names = dataset.class_names
    if set(names) <= set(_SIMILAR):
        return np.array([names.index(_SIMILAR[name]) for name in names])
    features = embed(dataset.source).features
    order = sorted(range(len(images)), key=lambda position: images.all.names[position])
    labels = images.all.labels[order]
    means = np.stack([features[labels == label].mean(axis=0) for label in range(len(names))])
    distances = np.linalg.norm(means[:, None] - means[None], axis=2)
    return np.asarray((distances + np.diag([np.inf] * len(names))).argmin(axis=1))


def label_noise(dataset: Dataset, rng: np.random.Generator, options: argparse.Namespace) -> None:
    """Flip labels, predict the folds, and print the precision among as many labels as were flipped."""
    kind, folds = options.label_noise, options.folds
    subsets = {name: split.subset(np.arange(0, len(split), options.every)) for name, split in dataset.splits.items()}
    dataset = replace(dataset, splits=subsets)
    names = dataset.class_names
    images = AuditedImages.of(dataset)
    similar = most_similar_classes(dataset, images) if kind == "similar" else np.zeros(0, np.int64)
    labels = images.all.labels.copy()
    flipped = rng.choice(len(labels), round(_FLIP_RATE * len(labels)), replace=False)
    steps = rng.integers(1, len(names), len(flipped))
    labels[flipped] = similar[labels[flipped]] if kind == "similar" else (labels[flipped] + steps) % len(names)
    noisy = replace(images, all=replace(images.all, labels=labels))
    began = time.perf_counter()
    size = dataset.preprocessing.height, dataset.preprocessing.width
    assignment = assign_folds(labels, np.arange(len(labels)), folds)
    if predicts_by_features(options.recipe, *size):
        features = pretrained_features(dataset, noisy, progress=True)
        probabilities = probabilities_by_features(features, noisy, assignment, progress=True)
    else:
        recipe = audit_recipe(options.recipe, *size)
        probabilities = out_of_fold_probabilities(dataset, noisy, assignment, recipe, progress=True)
    ranked = np.argsort(label_quality(labels, probabilities), kind="stable")[: len(flipped)]
    precision = np.isin(ranked, flipped).mean()
    accuracy = (probabilities.argmax(axis=1) == images.all.labels).mean()
    where = {"random": "at random", "similar": "to the most similar class"}[kind]
    print(
        f"5% flipped {where}: precision {precision:.1%} among {len(flipped):,} labels; out-of-fold accuracy "
        f"{accuracy:.1%}; {(time.perf_counter() - began) / 60:.1f} minutes"
    )


if __name__ == "__main__":
    main()
