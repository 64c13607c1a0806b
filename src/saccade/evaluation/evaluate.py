"""evaluate: scores a run on the images of one split, each exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import SPLIT_NAMES, Split, SplitName
from saccade.data.fixes import Fix, read_fixes
from saccade.data.load import load_with_preprocessing
from saccade.errors import EvaluationError
from saccade.evaluation.distribution_shift import note_on_unlike_images
from saccade.evaluation.metrics import measure
from saccade.evaluation.result import Report
from saccade.inference.load_model import load_model
from saccade.inference.model_file import ModelFile
from saccade.inference.predictor import Predictor
from saccade.plotting.evaluation_plots import choose_images, draw_confusion_matrix, draw_predictions
from saccade.plotting.figure import save_figure
from saccade.runs.predictions import Predictions
from saccade.runs.results import EVALUATION_FILES
from saccade.runs.run import Run
from saccade.runs.run_split import RunSplit, load_run_split, no_images

# float32 sums of up to thousands of probabilities are further from 1 than a rounding, but never by this much.
_SUM_TOLERANCE = 1e-3


def evaluate(
    run: Run | ModelFile | str | Path,
    *,
    data: str | os.PathLike[str] | None = None,
    split: SplitName = "test",
    fixes: str | os.PathLike[str] | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Report:
    """Scores a run and writes `report.json`, `predictions.safetensors`, `confusion_matrix.png` and `predictions.png`.

    Their names say so where it was not the test split of the run's own data: `report-validation.json`. Where the data
    or the fixes are others, the names hold a hash of both: `report-test-photos-1a2b3c4d.json`.

    Args:
        run: a run or its directory; or an ONNX or LiteRT file that `saccade.export` wrote: then nothing is written.
        data: a name or a path. None: what the run was trained on; a model file needs it named.
        split: "test"; "validation": the data's own validation split, else the part that the run's recipe holds out of
            the training images; "train": the rest of them.
        fixes: a fixes.csv that is applied to the data. None: the run's own, where the data is what it was trained on.
        strict: fail if an image of the data can't be read, instead of leaving it out and saying so.
        progress: whether to show on stderr how far it is.

    Returns:
        The numbers, and what was written.

    Raises:
        RunError: no run there, or a damaged one.
        DataError: the data can't be used.
        EvaluationError: its classes are not those of the run, the split has no images, or it can no longer be told
            which training images were held out, because the data has changed.
    """
    if split not in SPLIT_NAMES:
        raise EvaluationError(f"there is no split '{split}'", expected=f"one of {', '.join(SPLIT_NAMES)}")
    model = load_model(run)
    if isinstance(model, ModelFile):
        place = Path(model.record.name) if isinstance(run, Run | ModelFile) else Path(run).resolve()
        return _evaluate_model_file(model, place, data, split, fixes=fixes, strict=strict, progress=progress)
    applied = None if fixes is None else read_fixes(fixes)
    return evaluate_run(model, data=data, split=split, fixes=applied, strict=strict, progress=progress)


def evaluate_run(
    run: Run,
    *,
    data: str | os.PathLike[str] | None,
    split: SplitName,
    fixes: Sequence[Fix] | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Report:
    """Scores a run as `evaluate` does; `fixes` are given as values, and `None` means as for `load_run_split`."""
    subject = find_subject(run, data, split, fixes=fixes, progress=progress)
    if strict:
        subject.dataset.require_all()
    predictor = Predictor.from_run(run)
    probabilities = predictor.probabilities_of(subject.images, progress=progress)
    require_each_once(subject.images, probabilities, len(run.class_names))
    without_tta = None
    if run.recipe.tta_views > 1:
        alone = Predictor.from_run(run, tta_views=1).probabilities_of(subject.images, progress=progress)
        require_each_once(subject.images, alone, len(run.class_names))
        without_tta = measure(subject.images.labels, alone)
    metrics = measure(subject.images.labels, probabilities)
    unlike: Iterator[str] = iter(())
    if subject.is_own and split == "test":
        unlike = note_on_unlike_images(run, metrics.accuracy, metrics.accuracy_interval)
    report = Report(
        run=run.path.resolve(),
        data_name=subject.dataset.name,
        data_source=subject.dataset.source,
        data_fingerprint=subject.dataset.fingerprint,
        weights=run.weights_fingerprint(),
        split=split,
        n=len(subject.images),
        unreadable=subject.unreadable,
        class_names=run.class_names,
        metrics=metrics,
        tta_views=run.recipe.tta_views,
        without_tta=without_tta,
        temperature=run.temperature,
        calibration=run.calibration(),
        notes=(*subject.notes, *unlike),
        files=tuple(run.path.resolve() / f"{stem}{subject.file_suffix}{suffix}" for stem, suffix in EVALUATION_FILES),
    )
    _write(run, report, subject.images, probabilities)
    return report


def _evaluate_model_file(
    model: ModelFile,
    place: Path,
    data: str | os.PathLike[str] | None,
    split: SplitName,
    *,
    fixes: str | os.PathLike[str] | None,
    strict: bool,
    progress: bool,
) -> Report:
    """Scores a model file, which knows neither where its data lies nor what was held out of it."""
    if data is None:
        raise EvaluationError(
            "a model file does not know where its data lies", remedy="name the data: --data DATA, or evaluate the run"
        )
    dataset = load_with_preprocessing(
        data, model.preprocessing, fixes=() if fixes is None else read_fixes(fixes), progress=progress
    )
    if strict:
        dataset.require_all()
    _require_same_classes(model.class_names, dataset.class_names)
    images = dataset.splits.get(split)
    if images is None or not len(images):
        raise no_images(dataset, split)
    probabilities = model.probabilities_of(images, progress=progress)
    require_each_once(images, probabilities, len(model.class_names))
    return Report(
        run=place,
        data_name=dataset.name,
        data_source=dataset.source,
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
        notes=(*dataset.notes, "a model file: which of these images were trained on is not known"),
        files=(),
    )


def require_each_once(images: Split, probabilities: NDArray[np.float32], classes: int) -> None:
    """Checks that every image of the split was scored, once, with probabilities.

    Args:
        images: the split.
        probabilities: float [n, classes], what the run says of it.
        classes: number of classes of the run.

    Raises:
        EvaluationError: an image stands in the split twice, the rows are not one per image, or one of them is no
            probability distribution.
    """
    problem = None
    if len(np.unique(images.rows)) != len(images):
        problem = f"images that stand in the split more than once: {len(images) - len(np.unique(images.rows))}"
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


def find_subject(
    run: Run,
    data: str | os.PathLike[str] | None,
    split: SplitName,
    *,
    fixes: Sequence[Fix] | None = None,
    progress: bool = False,
) -> RunSplit:
    """Loads what a run is measured on; arguments and errors as of `load_run_split`.

    Raises:
        EvaluationError: besides, where the data has other classes than the run.
    """
    subject = load_run_split(run, split, data=data, fixes=fixes, progress=progress)
    _require_same_classes(run.class_names, subject.dataset.class_names)
    return subject


def _require_same_classes(expected: Sequence[str], found: Sequence[str]) -> None:
    if tuple(expected) == tuple(found):
        return
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    differences = [f"without {_listed(missing)}"] if missing else []
    differences += [f"besides {_listed(extra)}"] if extra else []
    raise EvaluationError(
        "the classes of this data are not those of the run",
        expected=f"the {len(expected)} classes {_listed(expected)}",
        found=f"{len(found)} classes, {' and '.join(differences) or 'in another order'}",
        remedy="name the class folders as they were named for the training, or train on this data",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


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
