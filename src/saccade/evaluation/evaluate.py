"""Evaluation of a run on one split."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Fix, Split, SplitName
from saccade.data.fixes import apply_fixes, read_fixes
from saccade.data.load import Data, load_for_scoring
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.known_classes import KnownClasses
from saccade.errors import EvaluationError
from saccade.evaluation.distribution_shift import note_on_distribution_shift
from saccade.evaluation.metrics import measure
from saccade.evaluation.result import Report
from saccade.inference.classifier import load_classifier
from saccade.inference.load_model import load_model
from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import OnnxModel
from saccade.plotting.evaluation_plots import choose_images, draw_confusion_matrix, draw_predictions
from saccade.plotting.figure import save_figure
from saccade.runs.predictions import Predictions
from saccade.runs.results import EVALUATION_FILES
from saccade.runs.run import Run
from saccade.runs.run_split import RunSplit, load_run_split, no_images, require_split_name

if TYPE_CHECKING:
    from saccade.inference.predictor import Predictor

# The sum of thousands of float32 probabilities differs from 1 by accumulated rounding errors, always less than this.
_SUM_TOLERANCE = 1e-3


def evaluate(
    run: Run | ModelFile | str | Path,
    *,
    data: Data | None = None,
    split: SplitName = "test",
    fixes: str | os.PathLike[str] | None = None,
    reading: ReadingOptions | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Report:
    """Evaluate a run on one split, or on all images of other data, and write the results into the run directory.

    The files are `report.json`, `predictions.safetensors`, `confusion_matrix.png` and `predictions.png`. For another
    split of the run's own data the file names contain the split: `report-validation.json`. For other data or other
    fixes the file names also contain a hash of data and fixes: `report-test-photos-1a2b3c4d.json`.

    Args:
        run: a run or its directory; or an ONNX or LiteRT file from `saccade.export`, for which no file is written.
        data: a name or a path. Other data than that of the training is scored as a whole, unless it has a test split;
            images that the run was trained or validated on are left out. None: the data of the training; required for a
            model file.
        split: "test"; "validation": the data's own validation split, otherwise the images held out by the run's recipe;
            "train": the other training images.
        fixes: a fixes.csv to apply to the data. None: the run's own fixes if the data is the run's own data.
        reading: options for reading other data; None: the default options.
        strict: raise an error if an image of the data can't be read, instead of skipping the image with a note.
        progress: show progress on stderr.

    Returns:
        Report with the metrics and the paths of the written files.

    Raises:
        RunError: the run is missing or damaged.
        DataError: the data can't be used.
        EvaluationError: the classes differ from the run's classes, the split has no images, or the held-out images
            can't be determined because the data has changed.
    """
    require_split_name(split)
    model = load_model(run)
    applied = None if fixes is None else read_fixes(fixes)
    if isinstance(model, ModelFile):
        path = Path(model.record.name) if isinstance(run, Run | ModelFile) else Path(run).resolve()
        if data is None:
            raise EvaluationError(
                "a model file does not contain the path of its data",
                remedy="name the data with --data DATA, or evaluate the run",
            )
        known = KnownClasses.of(model.class_names, reading)
        dataset = load_for_scoring(data, model.preprocessing, known, reading=reading, progress=progress)
        dataset = apply_fixes(dataset, applied) if applied else dataset
        return _evaluate_model_file(model, path, dataset, split, strict=strict, progress=progress)
    run_split = load_run_split(model, split, data=data, fixes=applied, reading=reading, progress=progress)
    return evaluate_split(model, run_split, strict=strict, progress=progress)


def evaluate_run(
    run: Run,
    *,
    data: Data | None,
    split: SplitName,
    fixes: Sequence[Fix] | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Report:
    """Evaluate a run as `evaluate` does; `fixes` are values as for `load_run_split`."""
    run_split = load_run_split(run, split, data=data, fixes=fixes, progress=progress)
    return evaluate_split(run, run_split, strict=strict, progress=progress)


def evaluate_split(run: Run, run_split: RunSplit, *, strict: bool = False, progress: bool = False) -> Report:
    """Evaluate a run as `evaluate` does, on a split that is already loaded.

    Args:
        run: the run.
        run_split: the split, as loaded by `load_run_split`.
        strict: as for `evaluate`.
        progress: as for `evaluate`.

    Raises:
        DataError: `strict`, and an image of the data can't be read.
        EvaluationError: the classes differ from the run's classes.
    """
    dataset, images, split = run_split.dataset, run_split.images, run_split.name
    _require_same_classes(run.class_names, dataset.class_names)
    if strict:
        dataset.require_all()
    probabilities, unaugmented = _with_and_without_tta(run, images, progress=progress)
    without_tta = None if unaugmented is None else measure(images.labels, unaugmented)
    metrics = measure(images.labels, probabilities)
    shift: Iterable[str] = ()
    if run_split.is_own and split == "test":
        shift = note_on_distribution_shift(run, metrics.accuracy, metrics.accuracy_interval)
    report = Report(
        run=run.path.resolve(),
        data_name=dataset.name,
        data_source=dataset.source,
        data_root=dataset.root,
        data_fingerprint=dataset.fingerprint,
        weights=run.weights_fingerprint(),
        split=split,
        n=len(images),
        unreadable=run_split.unreadable,
        class_names=run.class_names,
        metrics=metrics,
        tta_views=run.recipe.tta_views,
        without_tta=without_tta,
        temperature=run.temperature,
        calibration=run.calibration(),
        notes=(*run_split.notes, *shift),
        names=images.names,
        labels=images.labels,
        probabilities=probabilities,
        left_out=run_split.left_out,
        files=tuple(run.path.resolve() / f"{stem}{run_split.file_suffix}{end}" for stem, end in EVALUATION_FILES),
    )
    _write(run, report, images, probabilities)
    return report


def _evaluate_model_file(
    model: ModelFile, path: Path, dataset: Dataset, split: SplitName, *, strict: bool, progress: bool
) -> Report:
    """Evaluate a model file, which contains neither the path of the data nor the split."""
    if strict:
        dataset.require_all()
    images = dataset.splits.get(split)
    if images is None or not len(images):
        raise no_images(dataset, split)
    probabilities = _predict_each_once(model, images, progress=progress)
    return Report(
        run=path,
        data_name=dataset.name,
        data_source=dataset.source,
        data_root=dataset.root,
        data_fingerprint=dataset.fingerprint,
        weights=model.record.weights,
        split=split,
        n=len(images),
        unreadable=tuple(image for image in dataset.unreadable if image.split == split),
        class_names=model.class_names,
        metrics=measure(images.labels, probabilities),
        tta_views=model.record.tta_views,
        without_tta=None,
        temperature=model.record.temperature,
        calibration=None,
        notes=(*dataset.notes, "a model file does not record which of these images were training images"),
        files=(),
        names=images.names,
        labels=images.labels,
        probabilities=probabilities,
    )


def _with_and_without_tta(
    run: Run, images: Split, *, progress: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the probabilities of a run, and those without test-time augmentation, where the run has it."""
    classifier = load_classifier(run, len(images))
    if isinstance(classifier, OnnxModel) and classifier.has_logits_without_tta:
        both = classifier.probabilities_with_and_without_tta(images, progress=progress)
        for probabilities in both:
            require_each_once(images, probabilities, len(run.class_names))
        return both
    probabilities = _predict_each_once(classifier, images, progress=progress)
    if run.recipe.tta_views == 1:
        return probabilities, None
    from saccade.inference.predictor import Predictor  # loads TensorFlow

    predictor = Predictor.from_run(run, tta_views=1)
    return probabilities, _predict_each_once(predictor, images, progress=progress)


def _predict_each_once(model: Predictor | ModelFile, images: Split, *, progress: bool) -> NDArray[np.float32]:
    probabilities = model.probabilities_of(images, progress=progress)
    require_each_once(images, probabilities, len(model.class_names))
    return probabilities


def require_each_once(images: Split, probabilities: NDArray[np.float32], classes: int) -> None:
    """Check that every image of the split was scored exactly once, with a probability distribution.

    Args:
        images: images of the split.
        probabilities: predicted probabilities, float [n, classes].
        classes: number of classes of the run.

    Raises:
        EvaluationError: the split contains an image twice, the number of rows differs from the number of images, or a
            row is not a probability distribution.
    """
    problem = None
    if len(np.unique(images.rows)) != len(images):
        problem = f"images that the split contains more than once: {len(images) - len(np.unique(images.rows))}"
    elif probabilities.shape != (len(images), classes):
        problem = f"{len(images)} images and {classes} classes, but scores of shape {probabilities.shape}"
    elif not np.isfinite(probabilities).all() or probabilities.min() < 0:
        problem = "scores that are negative or not finite"
    elif np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1).max() > _SUM_TOLERANCE:
        problem = "scores that do not sum to 1 for each image"
    if problem:
        raise EvaluationError(
            "the images were not scored exactly once each, so there is no result",
            expected="one row of probabilities for each image of the split",
            found=problem,
        )


def load_evaluation_split(
    run: Run,
    data: Data | None,
    split: SplitName,
    *,
    fixes: Sequence[Fix] | None = None,
    progress: bool = False,
) -> RunSplit:
    """Load a split of a run as `load_run_split` does, and check the classes.

    Raises:
        EvaluationError: as for `load_run_split`, or the classes of the data differ from the run's classes.
    """
    run_split = load_run_split(run, split, data=data, fixes=fixes, progress=progress)
    _require_same_classes(run.class_names, run_split.dataset.class_names)
    return run_split


def _require_same_classes(expected: Sequence[str], found: Sequence[str]) -> None:
    if tuple(expected) == tuple(found):
        return
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    differences = [f"missing: {_listed(missing)}"] if missing else []
    differences += [f"extra: {_listed(extra)}"] if extra else []
    raise EvaluationError(
        "the classes of this data differ from the classes of the run",
        expected=f"the {len(expected)} classes {_listed(expected)}",
        found=f"{len(found)} classes; {'; '.join(differences) or 'another order'}",
        remedy="give the class folders the names that they had in the training, or train on this data",
    )


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(f"'{name}'" for name in names[:10])
    return text if len(names) <= 10 else f"{text} and {len(names) - 10} more"


def _write(run: Run, report: Report, images: Split, probabilities: NDArray[np.float32]) -> None:
    numbers, predictions, matrix, grid = (path.name for path in report.files)
    title = f"{report.data_name}, {report.split}: accuracy {report.accuracy:.1%} (n = {report.scored})"
    run.write_json(numbers, report.to_dict())
    run.write_predictions(predictions, Predictions.of(images, probabilities))
    with run.place(matrix) as path:
        save_figure(draw_confusion_matrix(report.confusion_matrix, report.class_names, title), path)
    chosen = choose_images(len(images))
    figure = draw_predictions(
        images.take(chosen), images.labels[chosen], probabilities[chosen], report.class_names, title
    )
    with run.place(grid) as path:
        save_figure(figure, path)
