"""Audit of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.class_checks import class_findings
from saccade.auditing.duplicates import duplicate_findings, find_duplicates
from saccade.auditing.findings import Audit, Finding, sort_findings
from saccade.auditing.image_checks import image_findings, measure_brightness
from saccade.auditing.load_failures import unusable_finding
from saccade.auditing.output import check_free, make_audit_folder, write_audit
from saccade.auditing.shortcuts import shortcut_findings
from saccade.data.dataset import Dataset
from saccade.data.load import Data, is_path, load_for_recipe, require_name
from saccade.data.near_duplicates.near_duplicates import Duplicates
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.memory.labeled_images import IN_MEMORY
from saccade.errors import DataError, DataNotFoundError
from saccade.recipes import get_recipe
from saccade.sanitize import printable

_MAX_FOLDS = 20


def audit(
    data: Data,
    *,
    recipe: str | None = None,
    folds: int = 5,
    out: str | Path | None = None,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> Audit:
    """Find problems of a dataset, and write `audit.json` and `audit.html`. The data is not changed.

    Args:
        data: a dataset, or a name or path as for `saccade.load`. A folder that can't be loaded gives a finding.
        recipe: recipe of the trainings for label errors and outliers. None: `fast` with four epochs for images up to
            64x64 pixels, otherwise no training, but linear heads on pretrained features.
        folds: number of folds, with one training for each; 0: no training and no features, so no label errors, no
            outliers, and no near-duplicates by features.
        out: directory to create. None: the first free `audits/<data>-<n>`.
        reading: options for reading the data; None: the default options.
        progress: show progress on stderr.

    Raises:
        DataNotFoundError: the data does not exist.
        DataError: `folds` is not 0 or from 2 to 20, or `out` exists.
        RecipeError: the recipe does not exist.
        TrainingError: a training failed.
    """
    _check_folds(folds)
    loading = get_recipe(recipe or "quick")
    check_free(out)
    source = data.source if isinstance(data, Dataset) else require_name(data) if is_path(data) else IN_MEMORY
    try:
        dataset = (
            data if isinstance(data, Dataset) else load_for_recipe(data, loading, reading=reading, progress=progress)
        )
    except DataNotFoundError:
        raise
    except DataError as error:
        if not is_path(data):
            raise
        return _write(_unusable_audit(source, error), None, out)
    images = AuditedImages.of(dataset)
    duplicates = find_duplicates(images)
    findings = [*_findings_without_training(dataset, images, duplicates)]
    if folds:
        findings += _findings_from_training(dataset, images, duplicates, recipe, folds, progress)
    result = Audit(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        num_images={name: len(split) for name, split in dataset.splits.items()},
        findings=sort_findings(findings),
        notes=(*dataset.notes, *_notes(folds, duplicates)),
        folds=folds,
    )
    return _write(result, images, out)


def _findings_without_training(dataset: Dataset, images: AuditedImages, duplicates: Duplicates) -> Iterator[Finding]:
    brightness = measure_brightness(images)
    yield from class_findings(dataset, images)
    yield from duplicate_findings(images, duplicates)
    yield from shortcut_findings(images, brightness)
    yield from image_findings(images, brightness)


def _findings_from_training(
    dataset: Dataset, images: AuditedImages, duplicates: Duplicates, recipe: str | None, folds: int, progress: bool
) -> list[Finding]:
    # Imported here because an audit without training does not load TensorFlow.
    from saccade.auditing.feature_duplicates import feature_duplicate_findings, similar_pairs
    from saccade.auditing.feature_outliers import feature_outlier_findings
    from saccade.auditing.label_errors import label_findings, outlier_findings
    from saccade.auditing.out_of_fold import (
        audit_recipe,
        out_of_fold_probabilities,
        predicts_by_features,
        pretrained_features,
        probabilities_by_features,
    )
    from saccade.experiments.fold_assignment import assign_folds

    fold_of = assign_folds(images.all.labels, duplicates.near, folds)
    size = dataset.preprocessing.height, dataset.preprocessing.width
    if predicts_by_features(recipe, *size):
        features = pretrained_features(dataset, images, progress=progress)
        probabilities = probabilities_by_features(features, images, fold_of, progress=progress)
        similar = similar_pairs(images, duplicates, features, progress=progress)
        return [
            *label_findings(images, probabilities),
            *feature_duplicate_findings(images, similar),
            *feature_outlier_findings(images, features),
        ]
    chosen = audit_recipe(recipe, *size)
    probabilities = out_of_fold_probabilities(dataset, images, fold_of, chosen, progress=progress)
    return [*label_findings(images, probabilities), *outlier_findings(images, probabilities)]


def _notes(folds: int, duplicates: Duplicates) -> Iterator[str]:
    if not folds:
        yield (
            "without training (folds = 0) the audit does not find label errors, outliers and near-duplicates by "
            "features"
        )
    if duplicates.strict:
        yield (
            "most of these images are similar to another image: only much more similar images are called "
            "near-duplicates"
        )


def _unusable_audit(source: str, error: DataError) -> Audit:
    path = Path(source).absolute()
    finding = unusable_finding(error)
    return Audit(printable(path.name), str(path), "", (), {}, (finding,), (), 0)


def _write(result: Audit, images: AuditedImages | None, out: str | Path | None) -> Audit:
    folder = make_audit_folder(out, result.name)
    return replace(result, files=write_audit(result, images, folder))


def _check_folds(folds: int) -> None:
    if folds != 0 and not 2 <= folds <= _MAX_FOLDS:
        raise DataError(
            f"data can't be split into {folds} folds",
            expected=f"2 to {_MAX_FOLDS}, or 0 for no training",
            found=str(folds),
        )
