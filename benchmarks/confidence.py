"""Calibration, selective prediction and OOD detection of a run.

    python benchmarks/confidence.py RUN [--ood-data DATA --classes NAME,NAME]

RUN must be trained with validation images and evaluated on its test split. Prints the expected calibration error before
and after temperature scaling; for target accuracies of 95, 98 and 99%, coverage and accuracy on the test images, in
total and on ten subsets; and for an OOD threshold of 0.05, the fraction of accepted images among test images, noise,
handwritten digits, plain colors, and, with `--ood-data`, test images of classes that the run was not trained on.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from processes import run_program
from results import Result, add_results_option, keep_results
from sklearn.datasets import load_digits

from saccade.data.load import load_with_preprocessing
from saccade.errors import RunError
from saccade.evaluation.metrics import measure
from saccade.inference.ood_detector import OodDetector
from saccade.inference.predictor import Predictor
from saccade.inference.selective_prediction import fit_abstention
from saccade.runs.ood_p_value import OOD_THRESHOLD
from saccade.runs.run import Run
from saccade.training.calibration import at_temperature

TARGET_ACCURACIES = (0.95, 0.98, 0.99)
SUBSETS = 10
NUM_OOD_IMAGES = 1000


def main() -> None:
    """Measure, print and save the results."""
    parser = argparse.ArgumentParser(description="Measures calibration, abstention and OOD p-value of a run.")
    parser.add_argument("run", metavar="RUN", help="trained with validation images, and evaluated")
    parser.add_argument("--ood-data", metavar="DATA", help="data with images of classes that RUN was not trained on")
    parser.add_argument("--classes", default="", help="these classes of DATA, separated by commas")
    add_results_option(parser)
    options = parser.parse_args()
    run = Run.open(options.run)
    results = [
        *calibration_of(run),
        *target_accuracies_of(run),
        *ood_results_of(run, options.ood_data, options.classes),
    ]
    keep_results("confidence", results, options.results)


def calibration_of(run: Run) -> list[Result]:
    """Measure the expected calibration error on the test images, before and after temperature scaling."""
    predictions, calibration = run.predictions("predictions.safetensors"), run.calibration()
    if calibration is None:
        raise RunError(f"'{run.path}' is not calibrated", remedy="name a run trained with validation images")
    plain = at_temperature(predictions.probabilities, 1 / calibration.temperature)
    errors = [
        measure(predictions.labels, each).expected_calibration_error for each in (plain, predictions.probabilities)
    ]
    note = f"temperature {calibration.temperature:.3f}, {len(predictions.labels)} test images"
    return [
        Result(f"{run.recipe.name}, {form}", "expected calibration error", "fraction", [error], note)
        for form, error in zip(("uncalibrated", "calibrated"), errors, strict=True)
    ]


def target_accuracies_of(run: Run) -> list[Result]:
    """Measure coverage and accuracy on the test images for each target accuracy."""
    predictions = run.predictions("predictions.safetensors")
    confidences, correct = (
        predictions.probabilities.max(axis=1),
        predictions.probabilities.argmax(axis=1) == predictions.labels,
    )
    order = np.random.default_rng(0).permutation(len(correct))
    results = []
    for target_accuracy in TARGET_ACCURACIES:
        found = fit_abstention(run, target_accuracy)
        predicted = confidences >= found.threshold
        accuracies = [float(correct[rows][predicted[rows]].mean()) for rows in np.array_split(order, SUBSETS)]
        note = f"{correct[predicted].mean():.4f} in total, {len(correct)} test images"
        subject = f"{run.recipe.name}, target accuracy {target_accuracy:g}"
        results.append(Result(subject, "coverage", "fraction", [float(predicted.mean())], note))
        results.append(Result(subject, "accuracy, ten subsets of the test images", "fraction", accuracies, note))
    return results


def ood_results_of(run: Run, source: str | None, classes: str) -> list[Result]:
    """Measure the fraction of each kind of images that the OOD detector accepts."""
    predictor = Predictor.from_run(run)
    ood_detector = OodDetector.of_predictor(run, predictor)
    test = load_with_preprocessing(run.data_source, run.preprocessing, fixes=run.fixes()).splits["test"]
    draw = np.random.default_rng(0)
    kinds = {"test images": test.take(np.sort(draw.permutation(len(test))[: 5 * NUM_OOD_IMAGES]))}
    kinds |= synthetic_images(run, draw)
    if source is not None:
        others = load_with_preprocessing(source, run.preprocessing)
        for name in classes.split(","):
            rows = np.flatnonzero(others.splits["test"].labels == others.class_names.index(name))[:NUM_OOD_IMAGES]
            kinds[f"{name} (not trained on)"] = others.splits["test"].take(rows)
    results = []
    for kind, images in kinds.items():
        accepted = ood_detector(images)[1] >= OOD_THRESHOLD
        note = f"{len(images)} images"
        results.append(Result(f"{run.recipe.name}, {kind}", "accepted", "fraction", [float(accepted.mean())], note))
    return results


def synthetic_images(run: Run, draw: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """Return images of noise, digits and plain colors, each uint8 [n, height, width, 3]."""
    size = (run.preprocessing.height, run.preprocessing.width, 3)
    digits = [
        np.asarray(Image.fromarray(np.uint8(digit * 255 / 16)).resize(size[1::-1], Image.Resampling.BILINEAR))
        for digit in load_digits().images[:NUM_OOD_IMAGES]
    ]
    colors = draw.integers(0, 256, (NUM_OOD_IMAGES, 1, 1, 3))
    return {
        "noise": draw.integers(0, 256, (NUM_OOD_IMAGES, *size)).astype(np.uint8),
        "digits": np.repeat(np.stack(digits)[..., None], 3, axis=3),
        "plain colors": np.broadcast_to(colors, (NUM_OOD_IMAGES, *size)).astype(np.uint8),
    }


if __name__ == "__main__":
    run_program(main)
