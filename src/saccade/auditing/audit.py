"""audit: finds what is wrong with data before it costs accuracy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.class_checks import class_findings
from saccade.auditing.duplicates import duplicate_findings, find_duplicates
from saccade.auditing.findings import Audit, Finding, ordered
from saccade.auditing.image_checks import image_findings, measure_brightness
from saccade.auditing.load_failures import unusable_finding
from saccade.auditing.output import check_free, make_folder, write_audit
from saccade.auditing.shortcuts import shortcut_findings
from saccade.data.dataset import Dataset
from saccade.data.load import load, require_name
from saccade.data.near_duplicates.near_duplicates import Duplicates
from saccade.errors import DataError, DataNotFoundError
from saccade.recipes import get_recipe
from saccade.sanitize import printable

_MOST_FOLDS = 20


def audit(
    data: str | os.PathLike[str] | Dataset,
    *,
    recipe: str | None = None,
    folds: int = 5,
    out: str | Path | None = None,
    progress: bool = False,
) -> Audit:
    """Finds what is wrong with data, and writes `audit.json` and `audit.html`. The data itself is never changed.

    Args:
        data: a dataset, or what `saccade.load` takes. A folder that can't be loaded is diagnosed too.
        recipe: of the trainings behind label errors and outliers. None: `fast` with four epochs up to 64x64 pixels,
            else the default recipe.
        folds: how many trainings, each on all images but one part; 0: none, and no label errors or outliers.
        out: the directory to make. None: the first free `audits/<data>-<n>`.
        progress: whether to tell on stderr how far it is.

    Raises:
        DataNotFoundError: there is no such data.
        DataError: `folds` is not 0 or from 2 to 20, or `out` exists.
        RecipeError: there is no recipe of that name.
        TrainingError: a training failed.
    """
    _check_folds(folds)
    get_recipe(recipe or "quick")
    check_free(out)
    source = data.source if isinstance(data, Dataset) else require_name(data)
    try:
        dataset = data if isinstance(data, Dataset) else load(data, progress=progress)
    except DataNotFoundError:
        raise
    except DataError as error:
        return _written(_of_unusable(source, error), None, out)
    images = AuditedImages.of(dataset)
    duplicates = find_duplicates(images)
    findings = [*_model_free(dataset, images, duplicates)]
    if folds:
        findings += _model_based(dataset, images, duplicates, recipe, folds, progress)
    found = Audit(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        num_images={name: len(split) for name, split in dataset.splits.items()},
        findings=ordered(findings),
        notes=(*dataset.notes, *_notes(folds, duplicates)),
        folds=folds,
    )
    return _written(found, images, out)


def _model_free(dataset: Dataset, images: AuditedImages, duplicates: Duplicates) -> Iterator[Finding]:
    measured = measure_brightness(images)
    yield from class_findings(dataset, images)
    yield from duplicate_findings(images, duplicates)
    yield from shortcut_findings(images, measured)
    yield from image_findings(images, measured)


def _model_based(
    dataset: Dataset, images: AuditedImages, duplicates: Duplicates, recipe: str | None, folds: int, progress: bool
) -> list[Finding]:
    # Here, so that an audit without training loads no TensorFlow.
    from saccade.auditing.label_errors import label_findings, outlier_findings
    from saccade.auditing.out_of_fold import audit_recipe, out_of_fold_probabilities
    from saccade.experiments.fold_assignment import assign_folds

    fold_of = assign_folds(images.all.labels, duplicates.near, folds)
    chosen = audit_recipe(recipe, dataset.preprocessing.height, dataset.preprocessing.width)
    probabilities = out_of_fold_probabilities(dataset, images, fold_of, chosen, progress=progress)
    return [*label_findings(images, probabilities), *outlier_findings(images, probabilities)]


def _notes(folds: int, duplicates: Duplicates) -> Iterator[str]:
    if not folds:
        yield "label errors and outliers were not looked for, since nothing was trained (folds = 0)"
    if duplicates.strict:
        yield (
            "most of these images are much like another one: only those that agree far better than usual are "
            "called near duplicates"
        )


def _of_unusable(source: str, error: DataError) -> Audit:
    path = Path(source).absolute()
    finding = unusable_finding(path, error)
    return Audit(printable(path.name), str(path), "", (), {}, (finding,), (), 0)


def _written(found: Audit, images: AuditedImages | None, out: str | Path | None) -> Audit:
    folder = make_folder(out, found.name)
    return replace(found, files=write_audit(found, images, folder))


def _check_folds(folds: int) -> None:
    if folds != 0 and not 2 <= folds <= _MOST_FOLDS:
        raise DataError(
            f"data can't be parted into {folds} folds",
            expected=f"2 to {_MOST_FOLDS}, or 0 to train nothing",
            found=str(folds),
        )
