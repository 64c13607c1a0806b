"""Near-duplicates and outliers that `saccade audit` finds by features.

    python benchmarks/feature_audit.py DATA [--altered 40] [--strangers FOLDER...] [--sheet pairs.png] [--seed 0]

DATA is a folder of photographs. Near-duplicates: altered duplicates of random images are added, `--altered` of each
kind and one of each image at most: crops of 80% of both sides, crops that are mirrored, rotations by 3 to 8 degrees
without the corners, mirrored images, brightness of 60% or 140%, JPEG of quality 30, half the size, gray. All are saved
as JPEG, of quality 90. Found by hashes, and by features where hashes do not find the pair, are counted apart. The other
pairs that are found by features are saved as an image for inspection, the best first.

Outliers: 1, 3 and 10 images of each folder of `--strangers` are added, and the images of the data that are outliers
beside them are counted as false, though some may be true ones. As a comparison, as many images with the lowest score
of the out-of-fold predictions are called outliers: this is what `saccade audit` does without features. The strangers
have random labels. The last column counts images of the data that are outliers without any stranger.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from audit import save_pairs
from cleanlab.outlier import OutOfDistribution
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from processes import at_least_one
from results import Result, add_results_option, keep_results

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.duplicates import find_duplicates
from saccade.auditing.feature_duplicates import similar_pairs
from saccade.auditing.feature_outliers import neighbor_distances, outlier_limit
from saccade.auditing.out_of_fold import pretrained_features, probabilities_by_features
from saccade.data.load import load
from saccade.data.near_duplicates.near_duplicates import Duplicates
from saccade.experiments.fold_assignment import assign_folds
from saccade.training.transfer_learning.features import Features

_SUFFIXES = (".jpg", ".jpeg", ".png")
_MAX_STRANGERS = 10
_SHEET_SIDE = 96
_MAX_ON_SHEET = 100
_ADDED = "added-"


def main() -> None:
    """Add altered duplicates and strangers, measure, print and save."""
    parser = argparse.ArgumentParser(description="Recall and false findings of an audit by features.")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of photographs")
    parser.add_argument("--altered", type=at_least_one, default=40, help="number of duplicates of each kind")
    parser.add_argument("--strangers", type=Path, nargs="*", default=[], help="folders of images of other data")
    parser.add_argument(
        "--sheet", type=Path, default=Path("feature-pairs.png"), help="path of the image of other pairs"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_results_option(parser)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / options.data.name
        shutil.copytree(options.data, root)
        sources = add_altered(root, options.altered, rng)
        for number, strangers in enumerate(options.strangers):
            add_strangers(root, strangers, f"{_ADDED}stranger{number}-", rng)
        dataset = load(root, progress=True)
        images = AuditedImages.of(dataset)
        features = pretrained_features(dataset, images, progress=True)
        results = measure_altered(images, features, sources, options.sheet)
        if options.strangers:
            results += measure_outliers(images, features, rng)
    results = [replace(one, subject=f"{options.data.name}, {one.subject}") for one in results]
    keep_results("feature_audit", results, options.results)


def makers(rng: np.random.Generator) -> dict[str, Callable[[Image.Image], Image.Image]]:
    """Return the functions that make duplicates, by kind."""

    def mirrored(image: Image.Image) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def cropped(image: Image.Image) -> Image.Image:
        width, height = int(image.width * 0.8), int(image.height * 0.8)
        left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
        return image.crop((int(left), int(top), int(left) + width, int(top) + height))

    def rotated(image: Image.Image) -> Image.Image:
        degrees = rng.choice([-1, 1]) * rng.uniform(3, 8)
        width, height = image.size
        inner = (int(width * 0.08), int(height * 0.08), int(width * 0.92), int(height * 0.92))
        return image.rotate(degrees, Image.Resampling.BICUBIC).crop(inner)

    return {
        "cropped": cropped,
        "cropped and mirrored": lambda image: mirrored(cropped(image)),
        "rotated": rotated,
        "mirrored": mirrored,
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(float(rng.choice([0.6, 1.4]))),
        "JPEG of quality 30": lambda image: encoded(image, 30),
        "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
        "gray": lambda image: image.convert("L").convert("RGB"),
    }


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """Encode an image as JPEG and decode it."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def files_of(folder: Path) -> list[Path]:
    """Return the images in a folder at any depth, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def add_altered(root: Path, count: int, rng: np.random.Generator) -> dict[str, tuple[str, str]]:
    """Add altered duplicates beside their sources, and return the kind and the source of each copy, by its name."""
    files, made = files_of(root), makers(rng)
    chosen = rng.choice(len(files), count * len(made), replace=False).reshape(len(made), count)
    sources = {}
    for (kind, make), positions in zip(made.items(), chosen, strict=True):
        for position in positions:
            source = files[position]
            copy = source.with_name(f"{_ADDED}{position}.jpg")
            make(Image.open(source).convert("RGB")).save(copy, quality=90)
            sources[copy.relative_to(root).as_posix()] = (kind, source.relative_to(root).as_posix())
    return sources


def add_strangers(root: Path, folder: Path, prefix: str, rng: np.random.Generator) -> None:
    """Add images of other data, each beside a random image of the data."""
    files, places = files_of(folder), files_of(root)
    for number, position in enumerate(rng.choice(len(files), _MAX_STRANGERS, replace=False)):
        place = places[rng.integers(len(places))]
        Image.open(files[position]).convert("RGB").save(place.with_name(f"{prefix}{number}.jpg"), quality=95)


def measure_altered(
    images: AuditedImages, features: Features, sources: dict[str, tuple[str, str]], sheet: Path
) -> list[Result]:
    """Count found duplicates and other pairs."""
    is_stranger = np.array([f"{_ADDED}stranger" in name for name in images.all.names])
    kept = np.flatnonzero(~is_stranger)
    images, features = at(images, kept), features[kept]
    duplicates = find_duplicates(images)
    began = time.perf_counter()
    similar = similar_pairs(images, duplicates, features, progress=True)
    seconds = time.perf_counter() - began
    groups = duplicates.near
    found = {tuple(pair) for pair in np.sort(groups[similar.pairs[similar.are_duplicates]], axis=1).tolist()}
    position = {name: number for number, name in enumerate(images.all.names)}
    counts: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    expected = set()
    for copy, (kind, source) in sources.items():
        pair = tuple(sorted((int(groups[position[copy]]), int(groups[position[source]]))))
        expected.add(pair)
        counts[kind].append((pair[0] == pair[1], pair in found))
    results = []
    for kind, flags in counts.items():
        by_hash, by_features = np.array(flags).mean(axis=0)
        results.append(Result(kind, f"found by hashes, of {len(flags)}", "fraction", [float(by_hash)]))
        results.append(Result(kind, f"found by features only, of {len(flags)}", "fraction", [float(by_features)]))
    originals = np.array([name not in sources for name in images.all.names])
    pairs = similar.pairs
    is_unexpected = np.array([tuple(sorted(pair)) not in expected for pair in groups[pairs].tolist()], np.bool_)
    other = originals[pairs].all(axis=1) & is_unexpected
    print_other_pairs(similar.correlations[other], similar.similarities[other])
    chosen = np.flatnonzero(other & similar.are_duplicates)
    chosen = chosen[np.argsort(-similar.correlations[chosen], kind="stable")][:_MAX_ON_SHEET]
    if len(chosen):
        thumbnails = np.stack([thumbnail(images, number) for number in pairs[chosen].ravel().tolist()])
        save_pairs(thumbnails, np.arange(2 * len(chosen)).reshape(-1, 2), sheet)
    n_found = float((other & similar.are_duplicates).sum())
    return [
        *results,
        Result("pairs of originals", "found by features only", "pairs", [n_found], f"the best in {sheet.name}"),
        Result(f"{len(images):,} images, {len(pairs):,} candidates", "search by features", "s", [seconds]),
    ]


def print_other_pairs(correlations: NDArray[np.float32], similarities: NDArray[np.float32]) -> None:
    """Print the numbers of pairs of originals above several limits."""
    for correlation in (0.7, 0.75, 0.8, 0.85, 0.9):
        row = [
            int(((correlations >= correlation) & (similarities >= limit)).sum()) for limit in (0.2, 0.4, 0.5, 0.6, 0.7)
        ]
        print(f"pairs of originals with a correlation of {correlation}: similarity 0.2, 0.4, 0.5, 0.6, 0.7: {row}")


def thumbnail(images: AuditedImages, position: int) -> NDArray[np.uint8]:
    """Return an image at a small size."""
    return np.asarray(Image.fromarray(images.all[position][0]).resize((_SHEET_SIDE, _SHEET_SIDE)))


def at(images: AuditedImages, positions: NDArray[np.int64]) -> AuditedImages:
    """Return the images at some positions."""
    splits = tuple(images.splits[position] for position in positions)
    return replace(images, all=images.all.subset(positions), splits=splits)


def measure_outliers(images: AuditedImages, features: Features, rng: np.random.Generator) -> list[Result]:
    """Count found strangers and images of the data that are outliers beside them."""
    names = images.all.names
    is_data = np.array([_ADDED not in name for name in names])
    strangers: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names):
        if f"{_ADDED}stranger" in name:
            strangers[name.rpartition(_ADDED)[2].partition("-")[0]].append(position)
    distances = neighbor_distances(features[is_data])
    false = float((distances > outlier_limit(distances)).mean())
    results = [Result("no stranger", "images of the data that are outliers", "fraction", [false])]
    for count in (1, 3, 10):
        shares = []
        for _ in range(3 if count < _MAX_STRANGERS else 1):
            added = [rng.permutation(group)[:count] for group in strangers.values()]
            positions = np.concatenate([np.flatnonzero(is_data), *added]).astype(np.int64)
            shares.append(found_strangers(at(images, positions), features[positions], int(is_data.sum())))
        found, false_found, found_by_labels = np.array(shares).T.tolist()
        subject = f"{count} of each of {len(strangers)} kinds of strangers"
        results += [
            Result(subject, "found by features", "fraction", found),
            Result(subject, "images of the data that are outliers", "fraction", false_found),
            Result(subject, "found by as many outliers of the out-of-fold predictions", "fraction", found_by_labels),
        ]
    return results


def found_strangers(images: AuditedImages, features: Features, num_data: int) -> tuple[float, float, float]:
    """Return the fraction of found strangers, of false outliers, and of strangers found by predictions."""
    distances = neighbor_distances(features)
    outliers = distances > outlier_limit(distances)
    duplicates = Duplicates(np.arange(len(images)), np.arange(len(images)), strict=False)
    folds = assign_folds(images.all.labels, duplicates.near, 5)
    probabilities = probabilities_by_features(features, images, folds)
    scores = OutOfDistribution().fit_score(pred_probs=probabilities, labels=images.all.labels, verbose=False)
    by_labels = np.argsort(scores, kind="stable")[: int(outliers.sum())]
    return (
        float(outliers[num_data:].mean()),
        float(outliers[:num_data].mean()),
        float((by_labels >= num_data).sum() / (len(images) - num_data)),
    )


if __name__ == "__main__":
    main()
