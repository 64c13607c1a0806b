"""Evaluation of a run or an exported file on labeled images, with a Ray cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from saccade.cluster.checkpoint import read_rows
from saccade.cluster.execution import Prepared, plan_on_cluster, run_on_cluster
from saccade.cluster.listing import Listing, list_data
from saccade.cluster.networks import ModelContents, read_model
from saccade.cluster.options import ClusterOptions
from saccade.cluster.plan import ClusterPlan
from saccade.cluster.predict import PredictionSettings, prepared_prediction
from saccade.cluster.result import ClusterResult
from saccade.cluster.storage import place_of
from saccade.data.dataset import UnreadableImage
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.known_classes import KnownClasses
from saccade.errors import EvaluationError
from saccade.evaluation.metrics import measure
from saccade.evaluation.result import Report
from saccade.sanitize import counted, printable


@dataclass(frozen=True)
class ClusterEvaluation:
    """Evaluation on a cluster.

    Attributes:
        report: metrics, as by `saccade.evaluate`; nothing is written into the run.
        result: rows that were written, and the cluster.
    """

    report: Report
    result: ClusterResult


def evaluate_on_cluster(
    run: str | Path,
    data: str,
    out: str | Path,
    options: ClusterOptions,
    *,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> ClusterEvaluation:
    """Predict labeled images on a Ray cluster, and measure the predictions.

    The data is read as by `saccade.evaluate`: classes by class folders, label files or names of files, and only the
    test split if there is one. The rows are those of `predict_on_cluster` with the probabilities of all classes. Images
    that the run was trained or validated on, by content hash, have rows and are not scored, as by `saccade.evaluate`.

    Args:
        run: a run or its directory, or an exported ONNX file.
        data: label file, or folder of labeled images; or the address of one in object storage.
        out: as for `predict_on_cluster`.
        options: the cluster and its use.
        reading: options for reading label files; None: the default options.
        progress: whether to show a progress bar on stderr.

    Raises:
        ClusterError, DataError, RunError: as for `predict_on_cluster`.
        DataError: as for `list_data`, such as that a class of the data is no class of the run.
        EvaluationError: no image is left to score.
    """
    place = place_of(str(out))
    model, listing, prepared = _prepare(run, data, options, reading)
    result = run_on_cluster(options, place, listing, prepared, progress=progress)
    return ClusterEvaluation(_report(model, data, listing, read_rows(place)), result)


def plan_evaluation(
    run: str | Path,
    data: str,
    out: str | Path | None,
    options: ClusterOptions,
    *,
    reading: ReadingOptions | None = None,
) -> ClusterPlan:
    """Check all that `evaluate_on_cluster` checks, and measure the time of some images; nothing is written.

    The arguments and the errors are those of `evaluate_on_cluster`; without `out` the nodes write nothing.
    """
    _, listing, prepared = _prepare(run, data, options, reading)
    return plan_on_cluster(options, None if out is None else place_of(str(out)), listing, prepared)


def _prepare(
    run: str | Path, data: str, options: ClusterOptions, reading: ReadingOptions | None
) -> tuple[ModelContents, Listing, Prepared]:
    model = read_model(run)
    class_names = model.model.class_names
    found = list_data(data, reading, KnownClasses.of(class_names, reading))
    listing = replace(found, images=[image for image in found.images if image.split == "test"])
    settings = PredictionSettings(len(class_names))
    return model, listing, prepared_prediction(model, listing, options, settings, "evaluate")


def _report(model: ModelContents, data: str, listing: Listing, rows: Sequence[Mapping[str, Any]]) -> Report:
    record, run = model.model.record, model.run
    known = {} if run is None else run.split_of()
    of_run = [known.get(row["hash"]) for row in rows]
    scored = [
        row
        for row, split in zip(rows, of_run, strict=True)
        if row["unreadable_reason"] is None and split not in ("train", "validation")
    ]
    if not scored:
        raise EvaluationError(f"'{printable(data)}' has no image to score", expected="readable images of other data")
    column = {name: number for number, name in enumerate(record.class_names)}
    probabilities = np.zeros((len(scored), len(column)), np.float32)
    for number, row in enumerate(scored):
        for one in row["top"]:
            probabilities[number, column[one["class_name"]]] = one["probability"]
    labels = np.array([column[row["true_class"]] for row in scored], np.int64)
    contents = hashlib.sha256("\n".join(f"{row['true_class']} {row['hash']}" for row in rows).encode())
    return Report(
        run=Path(model.name).resolve(),
        data_name=data.rstrip("/").rpartition("/")[2],
        data_source=data,
        data_root="",
        data_fingerprint=contents.hexdigest(),
        weights=record.weights,
        split="test",
        n=len(scored),
        unreadable=tuple(
            UnreadableImage(row["name"], "test", row["unreadable_reason"]) for row in rows if row["unreadable_reason"]
        ),
        class_names=record.class_names,
        metrics=measure(labels, probabilities),
        tta_views=record.tta_views,
        without_tta=None,
        temperature=record.temperature,
        calibration=None if run is None else run.calibration(),
        notes=(*listing.notes, *_notes(of_run, run is None)),
        files=(),
        names=[row["name"] for row in scored],
        labels=labels,
        probabilities=probabilities,
        left_out={name: of_run.count(name) for name in ("train", "validation") if name in of_run},
    )


def _notes(of_run: Sequence[str | None], is_file: bool) -> list[str]:
    if is_file:
        return ["a model file does not record which of these images were training images"]
    seen = sum(split in ("train", "validation") for split in of_run)
    return [f"not scored: {counted(seen, 'image')} that the run was trained or validated on"] if seen else []
