"""report: a run as a page to read, and as a model card."""

from __future__ import annotations

import os
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
from saccade.errors import EvaluationError
from saccade.evaluation.distribution_shift import note_on_unlike_images
from saccade.evaluation.evaluate import evaluate
from saccade.evaluation.metrics import Metrics, measure
from saccade.evaluation.report.grad_cam import GradCam, overlaid
from saccade.evaluation.report.model_card import model_card, unknown_to_the_run
from saccade.evaluation.report.recommendations import NextStep, Numbers, next_steps
from saccade.evaluation.report.report_images import CellImages, chosen_images, thumbnails
from saccade.evaluation.report.report_plots import draw_coverage, draw_reliability
from saccade.html.render import figure_markup, image_source, render
from saccade.inference.predictor import Predictor
from saccade.plotting.history_plots import history_plot
from saccade.runs.predictions import Predictions
from saccade.runs.records import EvaluationRecord
from saccade.runs.results import PAGE
from saccade.runs.run import CARD, Run
from saccade.runs.run_split import RunSplit, load_run_split
from saccade.sanitize import command_line

_MISTAKES = 24
_EXPLAINED = 6
_PAIRS = 5
_PER_PAIR = 6
_LARGEST_MATRIX = 30
_TIMED_IMAGES = 500
_CONFIDENT = 0.95
_SMALL = 64  # images of fewer pixels a side are shown with sharp pixels


@dataclass(frozen=True)
class ReportPage:
    """What `report` wrote.

    Attributes:
        page: report.html.
        card: README.md; None if the one that is there was written by somebody else, and left alone.
    """

    page: Path
    card: Path | None


@dataclass(frozen=True)
class _Subject:
    """A run, ready to answer, with its evaluation and its answers to the test images of its data."""

    run: Run
    split: RunSplit
    predictions: Predictions
    evaluation: EvaluationRecord
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


def report(run: Run | str | Path, *, data: str | os.PathLike[str] | None = None, progress: bool = False) -> ReportPage:
    """Writes `report.html`, a page of one file that needs no network, and `README.md`, a model card, into a run.

    The numbers are those of `evaluate` on the test split; where that has not been done, it is done now.

    Args:
        run: a run or its directory.
        data: the name or the path under which the run's own data is found now. None: that of the training.
        progress: whether to show on stderr how far it is.

    Raises:
        RunError: no run there, or a damaged one.
        DataError: its data can't be used any more.
        EvaluationError: `data` names other data than the run's own; or the data has changed since the run was
            evaluated.
    """
    run = Run.open(run)
    subject = _subject(run, data, progress)
    metrics = measure(subject.predictions.labels, subject.predictions.probabilities)
    steps = next_steps(_numbers(subject, metrics))
    with run.place(PAGE) as path:
        path.write_text(render("report.html", **_values(subject, metrics, steps)), encoding="utf-8")
    return ReportPage(run.path / PAGE, _write_card(subject, metrics, steps))


def _subject(run: Run, data: str | os.PathLike[str] | None, progress: bool) -> _Subject:
    split = load_run_split(run, data=data, progress=progress)
    if data is not None and not split.is_own:
        raise EvaluationError(
            "a report is made of the data that the run was trained on, and this is other data",
            expected=f"the contents of '{run.data_source}' as they were at the training, wherever they lie now",
            found=f"other contents in '{split.dataset.source}'",
            remedy=f"measure the run on them: {command_line('evaluate', run.path, '--data', data)}",
        )
    evaluation = run.evaluation()
    if evaluation is None:
        report = evaluate(run, data=data, progress=progress)
        evaluation = EvaluationRecord.model_validate(report.to_dict())
    predictions = run.predictions("predictions.safetensors")
    hashes = [bytes(row).hex() for row in predictions.hashes]
    if hashes != list(split.images.hashes) or not np.array_equal(predictions.labels, split.images.labels):
        named = [] if data is None else ["--data", data]
        raise EvaluationError(
            f"'{split.dataset.source}' has changed since '{run.name}' was evaluated",
            remedy=f"evaluate it again: {command_line('evaluate', run.path, *named)}",
        )
    return _Subject(run, split, predictions, evaluation, Predictor.from_run(run))


def _write_card(subject: _Subject, metrics: Metrics, steps: list[NextStep]) -> Path | None:
    run = subject.run
    card = run.path / CARD
    if run.has_foreign_card():
        return None
    text = model_card(run, subject.split, subject.predictions.probabilities, metrics, steps)
    with run.place(CARD) as path:
        path.write_text(text, encoding="utf-8")
    return card


def _numbers(subject: _Subject, metrics: Metrics) -> Numbers:
    run = subject.run
    mistakes = ~subject.correct & (subject.confidences >= _CONFIDENT)
    return Numbers(
        run=run,
        class_names=run.class_names,
        training_images=np.bincount(subject.split.splits["train"].labels, minlength=len(run.class_names)).tolist(),
        metrics=metrics,
        n=len(subject.images),
        confident_mistakes=int(mistakes.sum()),
        history=run.history(),
        calibration=run.calibration(),
        unreadable=len(subject.split.dataset.unreadable),
    )


def _values(subject: _Subject, metrics: Metrics, steps: list[NextStep]) -> dict[str, Any]:
    """What the names in the template stand for."""
    run, history = subject.run, subject.run.history()
    chosen = chosen_images(subject.predictions, most_cells=_LARGEST_MATRIX**2)
    unlike = note_on_unlike_images(run, metrics.accuracy, metrics.accuracy_interval)
    return {
        "run": run,
        "metrics": metrics,
        "evaluation": subject.evaluation,
        "n": len(subject.images),
        "test_images_note": _note_on_test_images(run, subject.split),
        "notes": dict.fromkeys((*run.data.notes, *subject.split.notes, *unlike)),
        "per_class": list(zip(run.class_names, metrics.per_class, strict=True)),
        "matrix": metrics.confusion_matrix.tolist() if len(run.class_names) <= _LARGEST_MATRIX else None,
        "pairs": _pairs(subject, metrics),
        "mistakes": _mistakes(subject),
        "explained": _explained(subject),
        "plots": _plots(subject, history),
        "images": _page_images(subject, chosen),
        "small": max(run.preprocessing.height, run.preprocessing.width) < _SMALL,
        "steps": steps,
        "speed": _speed(subject),
        "training": _training(run),
        "environment": run.environment(),
        "recipe": {key: value for key, value in run.recipe.model_dump().items() if key != "name"},
    }


def _note_on_test_images(run: Run, split: RunSplit) -> str:
    """What the number of test images does not say."""
    seen = int((split.trained_on | split.validated_on).sum())
    used = f"{seen:,} of them were" if seen else "each scored once; none was"
    unreadable = f"{len(split.unreadable):,} more can't be read" if split.unreadable else ""
    notes = (f"{used} used to train or to validate", unreadable, unknown_to_the_run(run))
    return "; ".join(note for note in notes if note)


def _page_images(subject: _Subject, chosen: CellImages) -> dict[str, Any]:
    """What the matrix shows on a click, as the page's script reads it."""
    shown = chosen.positions()
    sources = thumbnails(subject.images.take(shown))
    return {
        "classes": list(subject.run.class_names),
        "cells": chosen.cells,
        "images": {
            int(position): {
                "source": source,
                "name": subject.images.names[position],
                "confidence": round(float(subject.confidences[position]), 4),
            }
            for position, source in zip(shown, sources, strict=True)
        },
    }


def _shown(subject: _Subject, position: int) -> dict[str, Any]:
    """An image with what is said of it."""
    (source,) = thumbnails(subject.images.take(np.array([position])))
    return {
        "source": source,
        "name": subject.images.names[position],
        "true": subject.name_of(int(subject.predictions.labels[position])),
        "predicted": subject.name_of(int(subject.predicted[position])),
        "confidence": float(subject.confidences[position]),
        "correct": bool(subject.correct[position]),
    }


def _mistakes(subject: _Subject) -> list[dict[str, Any]]:
    """The most confident incorrect predictions, the most confident first."""
    incorrect = np.flatnonzero(~subject.correct)
    ranked = incorrect[np.argsort(-subject.confidences[incorrect], kind="stable")][:_MISTAKES]
    return [_shown(subject, int(position)) for position in ranked]


def _pairs(subject: _Subject, metrics: Metrics) -> list[dict[str, Any]]:
    """The pairs of classes that were confused most often, either way, with some images of each way."""
    incorrect = metrics.confusion_matrix.copy()
    np.fill_diagonal(incorrect, 0)
    both = np.triu(incorrect + incorrect.T)
    found = []
    for cell in np.argsort(-both, axis=None, kind="stable")[:_PAIRS]:
        first, second = divmod(int(cell), len(both))
        if not both[first, second]:
            break
        ways = [_way(subject, *way) for way in ((first, second), (second, first)) if incorrect[way]]
        found.append({"num_images": int(both[first, second]), "ways": ways})
    return found


def _way(subject: _Subject, true: int, predicted: int) -> dict[str, Any]:
    own = np.flatnonzero((subject.predictions.labels == true) & (subject.predicted == predicted))
    ranked = own[np.argsort(-subject.confidences[own], kind="stable")][:_PER_PAIR]
    return {
        "true": subject.name_of(true),
        "predicted": subject.name_of(predicted),
        "count": len(own),
        "shown": [_shown(subject, int(position)) for position in ranked],
    }


def _explained(subject: _Subject) -> dict[str, list[dict[str, Any]]]:
    """Grad-CAM maps of some right and some incorrect predictions, drawn evenly, always the same ones."""
    cam = GradCam.of(subject.predictor.model)
    draw = np.random.default_rng(0)
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, own in (("correct", np.flatnonzero(subject.correct)), ("incorrect", np.flatnonzero(~subject.correct))):
        few = draw.choice(own, size=min(_EXPLAINED, len(own)), replace=False)
        if not len(few):
            found[kind] = []
            continue
        images = subject.images.take(few)
        maps = cam.maps(images, subject.predicted[few])
        found[kind] = [
            _shown(subject, int(position)) | {"map": image_source(overlaid(image, places))}
            for position, image, places in zip(few, images, maps, strict=True)
        ]
    return found


def _plots(subject: _Subject, history: list[Any]) -> Mapping[str, Any]:
    confidences, correct = subject.confidences, subject.correct
    return {
        "history": figure_markup(history_plot(history), "Loss and accuracy after each epoch.") if history else None,
        "reliability": figure_markup(
            draw_reliability(confidences, correct), "Accuracy of the answers of each confidence; ideal is the diagonal."
        ),
        "coverage": figure_markup(
            draw_coverage(confidences, correct), "Accuracy of the answers when only the most confident are given."
        ),
    }


def _speed(subject: _Subject) -> dict[str, Any]:
    """Images a second through the network, now and here."""
    predictor = subject.predictor
    images = subject.images.take(np.arange(min(_TIMED_IMAGES, len(subject.images))))
    predictor.probabilities(images[:1])  # the first call builds the graph
    predictor.probabilities(images)
    began = time.perf_counter()
    predictor.probabilities(images)
    seconds = time.perf_counter() - began
    return {"num_images": len(images), "rate": len(images) / seconds, "tta_views": subject.run.recipe.tta_views}


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
