"""Accuracy of EfficientNet-Lite0's features by the fit of the images: crop, pad or squash, at 224 pixels.

    python benchmarks/photo_fit.py DATA... [--fifths] [--draws 5] [--penalty C ...] [--variant NAME ...]
        [--features FOLDER]

A standardized multinomial logistic regression is fitted to the 1,280 features of each image; its C is chosen by
cross-validation among the training images. Data with a test split of its own is scored on that split, and on its
validation split where it has one. Other data is divided into random fifths, each predicted by a regression that was
fitted to the other four; identical files stay in one fifth. This is repeated `--draws` times, and an image counts with
its mean over the draws. `--fifths` joins the splits of data that has splits, and divides it in the same way.

Each fit is compared with "crop" on the same images: the table gives the difference of the accuracies with its 95%
interval, from the standard deviation of the differences of single images. "crop of 258" is the center of 224 pixels of
a square of 258 pixels. Padding is white unless another color is named. FOLDER keeps the features for the next call.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from saccade.data.dataset import Dataset, Preprocessing, Split
from saccade.data.load import load_with_preprocessing
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.head import without_head
from saccade.models.networks.efficientnet_lite import build
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.weights import assign
from saccade.onnx_session import open_session

SIDE = 224
VARIANTS = {
    "crop": Preprocessing(SIDE, SIDE),
    "pad": Preprocessing(SIDE, SIDE, fit="pad"),
    "pad, gray": Preprocessing(SIDE, SIDE, fit="pad", background=(127, 127, 127)),
    "pad, black": Preprocessing(SIDE, SIDE, fit="pad", background=(0, 0, 0)),
    "squash": Preprocessing(SIDE, SIDE, fit="squash"),
    "crop of 258": Preprocessing(258, 258),
}
PENALTIES = (1e-3, 1e-2, 1e-1)  # values of scikit-learn's C
_FOLDS = 3  # of the cross-validation that chooses C
_BATCH = 32

Extract = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Scores = dict[str, NDArray[np.float64]]
"""Correctness of the prediction of each image, 0 to 1, by the name of the images' split."""


@dataclass(frozen=True)
class Examples:
    """Features, float32 [n, 1280], labels, int64 [n], and content hashes of the images of a split."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """Method of scoring: number of random divisions, fifths in place of the data's own splits, and values of C."""

    draws: int
    fifths: bool
    penalties: tuple[float, ...]


def main() -> None:
    """Measure every fit on every data set, print and save the accuracies."""
    parser = argparse.ArgumentParser(description="Compares crop, pad and squash for the features of EfficientNetLite0.")
    parser.add_argument("data", metavar="DATA", nargs="+", help="name, folder or archive of images")
    parser.add_argument("--draws", type=at_least_one, default=5, help="random divisions into fifths")
    parser.add_argument("--fifths", action="store_true", help="divide all data into fifths, whatever its splits")
    parser.add_argument("--penalty", type=float, action="append", help="value of C to choose from; default: three")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="fit to measure beside crop; default: all")
    parser.add_argument("--features", type=Path, help="folder that keeps the features")
    add_results_option(parser)
    options = parser.parse_args()
    method = Method(options.draws, options.fifths, tuple(options.penalty or PENALTIES))
    variants = dict.fromkeys(["crop", *(options.variant or VARIANTS)])
    extract = kept_in(options.features, feature_extractor())
    for name in options.data:
        scores = {variant: scores_of(name, variant, extract, method) for variant in variants}
        results = list(results_of(Path(name).stem, scores))
        keep_results("photo_fit", results, options.results)
        for result in results:
            print(f"{result.subject}, {result.quantity}: {result.note}", flush=True)


def feature_extractor() -> Extract:
    """Return the function from images, uint8 [n, 224, 224, 3], to the features of EfficientNetLite0 by ONNX Runtime."""
    network = build(SIDE, SIDE, 1000)
    assign(network, imagenet_weights())
    session = open_session(to_onnx(fold_normalization(without_head(network)), {}))

    def extract(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = range(0, len(images), _BATCH)
        features = [
            session.run(None, {"pixels": images[start : start + _BATCH].astype(np.float32)})[0] for start in batches
        ]
        return np.concatenate(features)

    return extract


def kept_in(folder: Path | None, extract: Extract) -> Extract:
    """Return an extractor that keeps features in a folder, by the hash of the pixels; `extract` without a folder."""
    if folder is None:
        return extract
    folder.mkdir(parents=True, exist_ok=True)

    def extract_or_read(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        path = folder / f"{hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()[:32]}.npy"
        if not path.exists():
            np.save(path, extract(images))
        features: NDArray[np.float32] = np.load(path)
        return features

    return extract_or_read


def scores_of(name: str, variant: str, extract: Extract, method: Method) -> Scores:
    """Return the correctness of the prediction of every image of a data set, by split."""
    dataset = load_with_preprocessing(name, VARIANTS[variant], progress=True)
    if dataset.test_is_made or method.fifths:
        return {"fifths": _scores_of_fifths(_examples(_all_images(dataset), extract), method)}
    examples: dict[str, Examples] = {split: _examples(images, extract) for split, images in dataset.splits.items()}
    regression = _fitted(examples.pop("train"), method.penalties)
    return {
        split: (regression.predict(held_out.features) == held_out.labels).astype(np.float64)
        for split, held_out in examples.items()
    }


def _all_images(dataset: Dataset) -> Split:
    """Return all images, in an order that is independent of the test split, which Saccade makes."""
    joined = Split.joined(list(dataset.splits.values()))
    return joined.subset(np.argsort(np.array(joined.names)))


def _examples(split: Split, extract: Extract) -> Examples:
    images = split.take(slice(None))
    margin = (images.shape[1] - SIDE) // 2
    return Examples(
        extract(images[:, margin : margin + SIDE, margin : margin + SIDE]), split.labels, tuple(split.hashes)
    )


def _scores_of_fifths(examples: Examples, method: Method) -> NDArray[np.float64]:
    """Return the correctness of each image, the mean over the draws."""
    correct = np.zeros(len(examples.labels))
    contents = np.unique(examples.hashes, return_inverse=True)[1]
    for seed in range(method.draws):
        fifth = np.random.default_rng(seed).permutation(contents.max() + 1)[contents] % 5
        for held_out in range(5):
            inside, outside = fifth == held_out, fifth != held_out
            training = Examples(examples.features[outside], examples.labels[outside], ())
            regression = _fitted(training, method.penalties)
            correct[inside] += regression.predict(examples.features[inside]) == examples.labels[inside]
    return correct / method.draws


def _fitted(training: Examples, penalties: tuple[float, ...]) -> GridSearchCV:
    """Return a regression whose C is chosen by cross-validation."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    grid = {"logisticregression__C": penalties}
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1, "blas"):  # several threads mostly wait for each other
        return GridSearchCV(regression, grid, cv=folds).fit(training.features, training.labels)


def results_of(data: str, scores: dict[str, Scores]) -> Iterator[Result]:
    """Yield the accuracy of each variant on each split, with the paired difference from "crop" in the note."""
    for split, baseline in scores["crop"].items():
        for variant, of_variant in scores.items():
            differences = of_variant[split] - baseline
            n = len(differences)
            half = 1.96 * float(differences.std(ddof=1)) / math.sqrt(n)
            low, high = (100 * (float(differences.mean()) + sign * half) for sign in (-1, 1))
            note = (
                f"{n} images; {100 * differences.mean():+.2f} points from crop (95% interval {low:+.2f} to {high:+.2f})"
            )
            yield Result(f"{data}, {variant}", f"{split} accuracy", "fraction", [float(of_variant[split].mean())], note)


if __name__ == "__main__":
    run_program(main)
