"""Report of a run: an HTML page and a model card."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.data.load import Data, is_path
from saccade.errors import EvaluationError
from saccade.evaluation.distribution_shift import note_on_distribution_shift
from saccade.evaluation.evaluate import evaluate_split
from saccade.evaluation.metrics import Metrics, measure, reliability_bins
from saccade.evaluation.report.class_curves import class_curves
from saccade.evaluation.report.grad_cam import GradCam, overlay
from saccade.evaluation.report.model_card import model_card, note_on_pretraining
from saccade.evaluation.report.recommendations import (
    MIN_FINDING_IMAGES,
    Recommendation,
    RunNumbers,
    recommend,
)
from saccade.evaluation.report.report_images import CellImages, select_cell_images, thumbnails
from saccade.evaluation.wilson_interval import wilson_interval
from saccade.html.render import figure_markup, image_source, render
from saccade.inference.classifier import load_classifier, load_ood_detector
from saccade.inference.predictor import Predictor
from saccade.plotting.calibration_plots import draw_coverage, draw_reliability
from saccade.plotting.curve_plots import draw_precision_recall, draw_roc
from saccade.plotting.history_plots import history_plot
from saccade.runs.ood_p_value import OOD_THRESHOLD, num_ranked, smallest_p_value
from saccade.runs.predictions import Predictions
from saccade.runs.records import EvaluationRecord
from saccade.runs.results import PAGE
from saccade.runs.run import CARD, Run
from saccade.runs.run_split import RunSplit, load_run_split
from saccade.sanitize import command_line

_MAX_MISTAKES = 24
_MAX_UNLIKE = 12
_MAX_CAMS = 6
_MAX_PAIRS = 5
_MAX_PER_CONFUSION = 6
_MAX_MATRIX_CLASSES = 30
_TIMED_PIXELS = 250 * 32 * 32  # of the images of one call
_TIMED_SECONDS = 1.0
_CONFIDENT = 0.95
_SMALL_SIDE = 64  # pixels; smaller images are enlarged without smoothing


@dataclass(frozen=True)
class ReportPage:
    """Paths of a report.

    Attributes:
        page: path of report.html.
        card: path of README.md; None if the README.md of the run is not from Saccade and was not overwritten.
    """

    page: Path
    card: Path | None


@dataclass(frozen=True)
class _EvaluatedRun:
    """A run with its test split, its evaluation and its predictions.

    Attributes:
        run: the run.
        split: test split of the run's own data.
        predictions: predictions for the test images.
        metrics: metrics on the test images.
        evaluation: record of the evaluation.
        shift_notes: notes on distribution shift.
        predictor: predictor of the run.
    """

    run: Run
    split: RunSplit
    predictions: Predictions
    metrics: Metrics
    evaluation: EvaluationRecord
    shift_notes: tuple[str, ...]
    predictor: Predictor

    @property
    def images(self) -> Split:
        return self.split.images

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.predictions.probabilities.argmax(axis=1), np.int64)

    @cached_property
    def confidences(self) -> NDArray[np.float32]:
        return np.asarray(self.predictions.probabilities.max(axis=1), np.float32)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.predictions.labels, np.bool_)

    def name_of(self, label: int) -> str:
        return self.run.class_names[label]


def report(run: Run | str | Path, *, data: Data | None = None, progress: bool = False) -> ReportPage:
    """Write the HTML page `report.html` and the model card `README.md` into a run directory.

    The page is a single file and loads nothing from the network. The metrics are the metrics of `evaluate` on the test
    split; a run without an evaluation is evaluated first.

    Args:
        run: a run or its directory.
        data: present name or path of the run's own data. None: the name or path in the training.
        progress: show progress on stderr.

    Raises:
        RunError: the run is missing or damaged.
        DataError: the data can't be used.
        EvaluationError: `data` is other data than the run's own data, or the data has changed since the evaluation.
    """
    run = Run.open(run)
    evaluated = _load_evaluated(run, data, progress)
    recommendations = recommend(_numbers(evaluated))
    with run.place(PAGE) as path:
        path.write_text(render("report.html", **_template_values(evaluated, recommendations)), encoding="utf-8")
    return ReportPage(run.path / PAGE, _write_card(evaluated, recommendations))


def _load_evaluated(run: Run, data: Data | None, progress: bool) -> _EvaluatedRun:
    split = load_run_split(run, data=data, progress=progress)
    if data is not None and not split.is_own:
        raise EvaluationError(
            "a report needs the run's own data, and this is other data",
            expected=f"the contents of '{run.data_source}' at the time of the training",
            found=f"other contents in '{split.dataset.source}'",
            remedy=f"to evaluate the run on this data: {command_line('evaluate', run.path, '--data', data)}"
            if is_path(data)
            else "evaluate the run on this data: saccade.evaluate(run, data=...)",
        )
    evaluation = run.evaluation()
    if evaluation is None:
        evaluation = EvaluationRecord.model_validate(evaluate_split(run, split, progress=progress).to_dict())
    predictions = run.predictions("predictions.safetensors")
    hashes = [bytes(row).hex() for row in predictions.hashes]
    if hashes != list(split.images.hashes) or not np.array_equal(predictions.labels, split.images.labels):
        data_option = ["--data", data] if is_path(data) else []
        raise EvaluationError(
            f"'{split.dataset.source}' has changed since '{run.name}' was evaluated",
            remedy=f"evaluate the run again: {command_line('evaluate', run.path, *data_option)}",
        )
    metrics = measure(predictions.labels, predictions.probabilities)
    shift_notes = tuple(note_on_distribution_shift(run, metrics.accuracy, metrics.accuracy_interval))
    return _EvaluatedRun(run, split, predictions, metrics, evaluation, shift_notes, Predictor.from_run(run))


def _write_card(evaluated: _EvaluatedRun, recommendations: list[Recommendation]) -> Path | None:
    run = evaluated.run
    card = run.path / CARD
    if run.has_foreign_card():
        return None
    text = model_card(
        run,
        evaluated.split,
        evaluated.predictions.probabilities,
        evaluated.metrics,
        notes=evaluated.shift_notes,
        recommendations=recommendations,
    )
    with run.place(CARD) as path:
        path.write_text(text, encoding="utf-8")
    return card


def _numbers(evaluated: _EvaluatedRun) -> RunNumbers:
    run = evaluated.run
    mistakes = ~evaluated.correct & (evaluated.confidences >= _CONFIDENT)
    return RunNumbers(
        run=run,
        class_names=run.class_names,
        training_images=np.bincount(evaluated.split.splits["train"].labels, minlength=len(run.class_names)).tolist(),
        metrics=evaluated.metrics,
        n=len(evaluated.images),
        confident_mistakes=int(mistakes.sum()),
        history=run.history(),
        num_validation_images=run.num_validation_images,
        calibration=run.calibration(),
        unreadable=len(evaluated.split.dataset.unreadable),
    )


def _template_values(evaluated: _EvaluatedRun, recommendations: list[Recommendation]) -> dict[str, Any]:
    run, metrics, history = evaluated.run, evaluated.metrics, evaluated.run.history()
    cell_images = select_cell_images(evaluated.predictions, max_cells=_MAX_MATRIX_CLASSES**2)
    return {
        "run": run,
        "metrics": metrics,
        "evaluation": evaluated.evaluation,
        "n": len(evaluated.images),
        "test_images_note": _note_on_test_images(run, evaluated.split),
        "notes": dict.fromkeys((*run.data.notes, *evaluated.split.notes, *evaluated.shift_notes)),
        "per_class": list(zip(run.class_names, metrics.per_class, strict=True)),
        "matrix": metrics.confusion_matrix.tolist() if len(run.class_names) <= _MAX_MATRIX_CLASSES else None,
        "confusions": _confusions(evaluated),
        "mistakes": _mistakes(evaluated),
        "unlike": _unlike_training_images(evaluated),
        "cams": _cams(evaluated),
        "plots": _plots(evaluated, history),
        "images": _cell_images(evaluated, cell_images),
        "small": max(run.preprocessing.height, run.preprocessing.width) < _SMALL_SIDE,
        "recommendations": recommendations,
        "speed": _speed(evaluated),
        "training": _training(run),
        "environment": run.environment(),
        "recipe": {key: value for key, value in run.recipe.model_dump().items() if key != "name"},
    }


def _note_on_test_images(run: Run, split: RunSplit) -> str:
    """Return a note on test images in the training data and on unreadable test images."""
    leaked = int((split.trained_on | split.validated_on).sum())
    used = f"{leaked:,} of them are also" if leaked else "each scored once; none of them are"
    unreadable = f"{len(split.unreadable):,} more are unreadable" if split.unreadable else ""
    notes = (f"{used} training or validation images", unreadable, note_on_pretraining(run))
    return "; ".join(note for note in notes if note)


def _cell_images(evaluated: _EvaluatedRun, images: CellImages) -> dict[str, Any]:
    """Return the images of the confusion matrix's cells, as the script of the page reads them."""
    positions = images.positions()
    sources = thumbnails(evaluated.images.take(positions))
    return {
        "classes": list(evaluated.run.class_names),
        "cells": images.cells,
        "images": {
            int(position): {
                "source": source,
                "name": evaluated.images.names[position],
                "confidence": round(float(evaluated.confidences[position]), 4),
            }
            for position, source in zip(positions, sources, strict=True)
        },
    }


def _image(evaluated: _EvaluatedRun, position: int) -> dict[str, Any]:
    """Return an image with its label and its prediction, as the template reads them."""
    (source,) = thumbnails(evaluated.images.take(np.array([position])))
    return {
        "source": source,
        "name": evaluated.images.names[position],
        "true": evaluated.name_of(int(evaluated.predictions.labels[position])),
        "predicted": evaluated.name_of(int(evaluated.predicted[position])),
        "confidence": float(evaluated.confidences[position]),
        "correct": bool(evaluated.correct[position]),
    }


def _mistakes(evaluated: _EvaluatedRun) -> list[dict[str, Any]]:
    """Return the incorrect predictions with the highest confidence, in descending order."""
    incorrect = np.flatnonzero(~evaluated.correct)
    ranked = incorrect[np.argsort(-evaluated.confidences[incorrect], kind="stable")][:_MAX_MISTAKES]
    return [_image(evaluated, int(position)) for position in ranked]


def _unlike_training_images(evaluated: _EvaluatedRun) -> dict[str, Any] | None:
    """Return the test images that count as out of distribution, the most unusual first; None without OOD p-values."""
    run, n = evaluated.run, len(evaluated.images)
    num_validation = num_ranked(run.ood_statistics() or {})
    if not num_validation or smallest_p_value(num_validation) >= OOD_THRESHOLD:
        return None
    p_values = load_ood_detector(run, n).p_values_of(evaluated.images, evaluated.confidences)
    is_marked = p_values < OOD_THRESHOLD
    marked = np.flatnonzero(is_marked)
    ranked = marked[np.lexsort((evaluated.confidences[marked], p_values[marked]))][:_MAX_UNLIKE]
    interval = wilson_interval(len(marked), n)
    return {
        "count": len(marked),
        "interval": interval,
        "threshold": OOD_THRESHOLD,
        # The threshold itself is an estimate from the validation images: both intervals must differ.
        "differ": interval[0] > wilson_interval(OOD_THRESHOLD * num_validation, num_validation)[1],
        "accuracies": [float(evaluated.correct[rows].mean()) for rows in (is_marked, ~is_marked) if rows.any()],
        "images": [_image(evaluated, int(position)) | {"p_value": float(p_values[position])} for position in ranked],
    }


def _confusions(evaluated: _EvaluatedRun) -> list[dict[str, Any]]:
    """Return the most confused pairs of classes, with images of both directions of the confusion.

    A pair with one or two confusions is left out: they may be chance.
    """
    incorrect = evaluated.metrics.confusion_matrix.copy()
    np.fill_diagonal(incorrect, 0)
    pairs = np.triu(incorrect + incorrect.T)
    confusions = []
    for cell in np.argsort(-pairs, axis=None, kind="stable")[:_MAX_PAIRS]:
        first, second = divmod(int(cell), len(pairs))
        if pairs[first, second] < MIN_FINDING_IMAGES:
            break
        directions = [_direction(evaluated, *one) for one in ((first, second), (second, first)) if incorrect[one]]
        confusions.append({"num_images": int(pairs[first, second]), "directions": directions})
    return confusions


def _direction(evaluated: _EvaluatedRun, true: int, predicted: int) -> dict[str, Any]:
    positions = np.flatnonzero((evaluated.predictions.labels == true) & (evaluated.predicted == predicted))
    ranked = positions[np.argsort(-evaluated.confidences[positions], kind="stable")][:_MAX_PER_CONFUSION]
    return {
        "true": evaluated.name_of(true),
        "predicted": evaluated.name_of(predicted),
        "count": len(positions),
        "images": [_image(evaluated, int(position)) for position in ranked],
    }


def _cams(evaluated: _EvaluatedRun) -> dict[str, list[dict[str, Any]]]:
    """Return Grad-CAM maps of random correct and incorrect predictions; the random choice has a fixed seed."""
    cam = GradCam.of(evaluated.predictor.model)
    rng = np.random.default_rng(0)
    cams: dict[str, list[dict[str, Any]]] = {}
    for kind, mask in (("correct", evaluated.correct), ("incorrect", ~evaluated.correct)):
        candidates = np.flatnonzero(mask)
        positions = rng.choice(candidates, size=min(_MAX_CAMS, len(candidates)), replace=False)
        if not len(positions):
            cams[kind] = []
            continue
        images = evaluated.images.take(positions)
        maps = cam.maps(images, evaluated.predicted[positions])
        cams[kind] = [
            _image(evaluated, int(position)) | {"map": image_source(overlay(image, one))}
            for position, image, one in zip(positions, images, maps, strict=True)
        ]
    return cams


def _plots(evaluated: _EvaluatedRun, history: list[Any]) -> Mapping[str, Any]:
    confidences, correct = evaluated.confidences, evaluated.correct
    predictions, names = evaluated.predictions, evaluated.run.class_names
    precision_recall, roc = class_curves(predictions.labels, predictions.probabilities, names)
    return {
        "precision_recall": figure_markup(
            draw_precision_recall(precision_recall), "Precision-recall curves; the numbers are average precisions."
        )
        if precision_recall
        else None,
        "roc": figure_markup(draw_roc(roc), "ROC curves; the numbers are areas under the curves.") if roc else None,
        "history": figure_markup(history_plot(history), "Loss and accuracy by epoch.") if history else None,
        "reliability": figure_markup(
            draw_reliability(reliability_bins(confidences, correct)),
            "Reliability diagram: accuracy by confidence; the diagonal is perfect calibration.",
        ),
        "coverage": figure_markup(
            draw_coverage(confidences, correct),
            "Accuracy-coverage curve: accuracy on the most confident predictions, by coverage.",
        ),
    }


def _speed(evaluated: _EvaluatedRun) -> dict[str, Any]:
    """Measure the prediction speed on this machine, in images per second, for about a second."""
    classifier = load_classifier(evaluated.run, len(evaluated.images))
    pixels = evaluated.run.preprocessing.height * evaluated.run.preprocessing.width
    few = evaluated.images.take(np.arange(max(1, min(_TIMED_PIXELS // pixels, len(evaluated.images)))))
    classifier.probabilities(few)  # the first call builds the graph
    num_images, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < _TIMED_SECONDS:
        classifier.probabilities(few)
        num_images += len(few)
    return {"num_images": num_images, "rate": num_images / seconds, "tta_views": evaluated.run.recipe.tta_views}


def _training(run: Run) -> dict[str, Any]:
    timings = run.timings()
    seconds = [timing.seconds for timing in timings]
    return {
        "minutes": sum(seconds) / 60,
        "median": statistics.median(seconds) if seconds else None,
        "weights": sum(weight.size for weight in run.weights().values()),
        "bytes": (run.path / "model.keras").stat().st_size,
        "memory": run.status().peak_memory_mb,
    }
