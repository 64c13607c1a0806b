"""What a run's confidence is worth: calibration, promises kept by abstaining, and what it calls unfamiliar.

    python benchmarks/confidence.py RUN [--strangers DATA --classes NAME,NAME]

RUN must have been trained with validation images and evaluated on its test split. Prints the calibration error before
and after the temperature; for promises of 95, 98 and 99%, how many test images are answered and how many answers are
right, in all and on ten parts of the test images; and at an OOD score of 0.05, how many test images are accepted
and how many each of noise, handwritten digits, plain colors, and, with `--strangers`, of the test images of classes
that the run does not know.
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
from saccade.inference.predict import OOD_THRESHOLD
from saccade.inference.predictor import Predictor
from saccade.inference.selective_prediction import fit_abstention
from saccade.runs.run import Run
from saccade.training.calibration import at_temperature

TARGET_ACCURACIES = (0.95, 0.98, 0.99)
BINS = 10
STRANGERS = 1000


def main() -> None:
    """Measures, prints and keeps."""
    parser = argparse.ArgumentParser(description="Measures calibration, abstention and OOD score of a run.")
    parser.add_argument("run", metavar="RUN", help="trained with validation images, and evaluated")
    parser.add_argument("--strangers", metavar="DATA", help="data with images of classes that RUN does not know")
    parser.add_argument("--classes", default="", help="which of its classes, separated by commas")
    add_results_option(parser)
    options = parser.parse_args()
    run = Run.open(options.run)
    results = [*calibration_of(run), *target_accuracies_of(run), *strangers_of(run, options.strangers, options.classes)]
    keep_results("confidence", results, options.results)


def calibration_of(run: Run) -> list[Result]:
    """The expected calibration error on the test images, without and with the temperature."""
    predictions, calibration = run.predictions("predictions.safetensors"), run.calibration()
    if calibration is None:
        raise RunError(f"'{run.path}' is not calibrated", remedy="name a run trained with validation images")
    plain = at_temperature(predictions.probabilities, 1 / calibration.temperature)
    errors = [
        measure(predictions.labels, each).expected_calibration_error for each in (plain, predictions.probabilities)
    ]
    note = f"temperature {calibration.temperature:.3f}, {len(predictions.labels)} test images"
    return [
        Result(f"{run.recipe.name}, {form}", "expected calibration error", "part", [error], note)
        for form, error in zip(("uncalibrated", "calibrated"), errors, strict=True)
    ]


def target_accuracies_of(run: Run) -> list[Result]:
    """For each promise the part of the test images that is answered, and of the answers that is right."""
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
        parts = [float(correct[fraction][predicted[fraction]].mean()) for fraction in np.array_split(order, BINS)]
        note = f"{correct[predicted].mean():.4f} in all, {len(correct)} test images"
        subject = f"{run.recipe.name}, promise {target_accuracy:g}"
        results.append(Result(subject, "images answered", "part", [float(predicted.mean())], note))
        results.append(
            Result(subject, "predictions that are correct, ten parts of the test images", "part", parts, note)
        )
    return results


def strangers_of(run: Run, source: str | None, classes: str) -> list[Result]:
    """The part of each sort of images that is not called unfamiliar."""
    predictor = Predictor.from_run(run)
    ood_detector = OodDetector(run, predictor)
    test = load_with_preprocessing(run.data_source, run.preprocessing, fixes=run.fixes()).splits["test"]
    draw = np.random.default_rng(0)
    sorts = {"test images": test.take(np.sort(draw.permutation(len(test))[: 5 * STRANGERS]))}
    sorts |= made_strangers(run, draw)
    if source is not None:
        others = load_with_preprocessing(source, run.preprocessing)
        for name in classes.split(","):
            own = np.flatnonzero(others.splits["test"].labels == others.class_names.index(name))[:STRANGERS]
            sorts[f"{name} (not trained on)"] = others.splits["test"].take(own)
    results = []
    for sort, images in sorts.items():
        accepted = ood_detector(images, predictor.probabilities(images)) >= OOD_THRESHOLD
        note = f"{len(images)} images"
        results.append(Result(f"{run.recipe.name}, {sort}", "familiar", "part", [float(accepted.mean())], note))
    return results


def made_strangers(run: Run, draw: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """Noise, digits and plain colors, each uint8 [n, height, width, 3]."""
    size = (run.preprocessing.height, run.preprocessing.width, 3)
    digits = [
        np.asarray(Image.fromarray(np.uint8(digit * 255 / 16)).resize(size[1::-1], Image.Resampling.BILINEAR))
        for digit in load_digits().images[:STRANGERS]
    ]
    colors = draw.integers(0, 256, (STRANGERS, 1, 1, 3))
    return {
        "noise": draw.integers(0, 256, (STRANGERS, *size)).astype(np.uint8),
        "digits": np.repeat(np.stack(digits)[..., None], 3, axis=3),
        "plain colors": np.broadcast_to(colors, (STRANGERS, *size)).astype(np.uint8),
    }


if __name__ == "__main__":
    run_program(main)
