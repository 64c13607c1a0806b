"""Saccade: from images in class folders to a trained, measured, saved classifier.

The commands are functions that return values:

    import saccade

    run = saccade.train("photos/", recipe="quick")
    report = saccade.evaluate(run)
    print(report.accuracy, report.accuracy_interval)
    for prediction in saccade.predict(run, ["cat.jpg"]):
        print(prediction.name, prediction.top[0].class_name)
    saccade.export(run, format="keras", out="model.keras")

Importing this package loads neither TensorFlow nor NumPy; the first use of a name loads what that name needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade.auditing.audit import audit
    from saccade.auditing.findings import Audit, Finding
    from saccade.data.dataset import Dataset, Preprocessing, Split, UnreadableImage
    from saccade.data.explore import Exploration, explore
    from saccade.data.load import load
    from saccade.data.reading_options import ReadingOptions
    from saccade.deploy.benchmark import FormatBenchmark, benchmark
    from saccade.deploy.client import Client
    from saccade.deploy.export import Export, export
    from saccade.deploy.server.serve import serve
    from saccade.errors import SaccadeError
    from saccade.evaluation.compare.compare import compare
    from saccade.evaluation.compare.comparison import Comparison
    from saccade.evaluation.evaluate import evaluate
    from saccade.evaluation.report.report_page import ReportPage, report
    from saccade.evaluation.result import Report
    from saccade.experiments.cross_validation import cross_validate
    from saccade.experiments.learning_curve import learning_curve
    from saccade.experiments.learning_curve_result import LearningCurve
    from saccade.image_classifier import ImageClassifier
    from saccade.inference.predict import Prediction, predict
    from saccade.labeling.accuracy_estimate import AccuracyEstimate
    from saccade.labeling.embeddings import Embeddings, embed
    from saccade.labeling.estimate import Sample, estimate
    from saccade.labeling.label import Goal, label
    from saccade.labeling.similar import SimilarImages, find_similar
    from saccade.labeling.steps import Labeling
    from saccade.recipes import Recipe, get_recipe
    from saccade.runs.run import Run
    from saccade.training.extend import extend
    from saccade.training.resume import resume
    from saccade.training.train import train
    from saccade.training.train_within import train_within
    from saccade.training.transfer import transfer
    from saccade.tuning.result import Tuning
    from saccade.tuning.tune import tune

# Public name -> module that defines it, which is loaded when the name is first used (PEP 562).
_HOMES = {
    "AccuracyEstimate": "saccade.labeling.accuracy_estimate",
    "Audit": "saccade.auditing.findings",
    "Client": "saccade.deploy.client",
    "Comparison": "saccade.evaluation.compare.comparison",
    "Dataset": "saccade.data.dataset",
    "Embeddings": "saccade.labeling.embeddings",
    "Exploration": "saccade.data.explore",
    "Export": "saccade.deploy.export",
    "Finding": "saccade.auditing.findings",
    "FormatBenchmark": "saccade.deploy.benchmark",
    "Goal": "saccade.labeling.label",
    "ImageClassifier": "saccade.image_classifier",
    "Labeling": "saccade.labeling.steps",
    "LearningCurve": "saccade.experiments.learning_curve_result",
    "Preprocessing": "saccade.data.dataset",
    "Prediction": "saccade.inference.predict",
    "ReadingOptions": "saccade.data.reading_options",
    "Recipe": "saccade.recipes",
    "UnreadableImage": "saccade.data.dataset",
    "Report": "saccade.evaluation.result",
    "ReportPage": "saccade.evaluation.report.report_page",
    "Run": "saccade.runs.run",
    "SaccadeError": "saccade.errors",
    "Sample": "saccade.labeling.estimate",
    "SimilarImages": "saccade.labeling.similar",
    "Split": "saccade.data.dataset",
    "Tuning": "saccade.tuning.result",
    "audit": "saccade.auditing.audit",
    "benchmark": "saccade.deploy.benchmark",
    "compare": "saccade.evaluation.compare.compare",
    "cross_validate": "saccade.experiments.cross_validation",
    "embed": "saccade.labeling.embeddings",
    "estimate": "saccade.labeling.estimate",
    "evaluate": "saccade.evaluation.evaluate",
    "explore": "saccade.data.explore",
    "export": "saccade.deploy.export",
    "extend": "saccade.training.extend",
    "find_similar": "saccade.labeling.similar",
    "get_recipe": "saccade.recipes",
    "label": "saccade.labeling.label",
    "learning_curve": "saccade.experiments.learning_curve",
    "load": "saccade.data.load",
    "predict": "saccade.inference.predict",
    "report": "saccade.evaluation.report.report_page",
    "resume": "saccade.training.resume",
    "serve": "saccade.deploy.server.serve",
    "train": "saccade.training.train",
    "train_within": "saccade.training.train_within",
    "transfer": "saccade.training.transfer",
    "tune": "saccade.tuning.tune",
}

__all__ = [
    "AccuracyEstimate",
    "Audit",
    "Client",
    "Comparison",
    "Dataset",
    "Embeddings",
    "Exploration",
    "Export",
    "Finding",
    "FormatBenchmark",
    "Goal",
    "ImageClassifier",
    "Labeling",
    "LearningCurve",
    "Prediction",
    "Preprocessing",
    "ReadingOptions",
    "Recipe",
    "Report",
    "ReportPage",
    "Run",
    "SaccadeError",
    "Sample",
    "SimilarImages",
    "Split",
    "Tuning",
    "UnreadableImage",
    "audit",
    "benchmark",
    "compare",
    "cross_validate",
    "embed",
    "estimate",
    "evaluate",
    "explore",
    "export",
    "extend",
    "find_similar",
    "get_recipe",
    "label",
    "learning_curve",
    "load",
    "predict",
    "report",
    "resume",
    "serve",
    "train",
    "train_within",
    "transfer",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("saccade")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'saccade' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
