"""learning_curve: accuracy against the number of pictures, and what more of them would bring."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import next_free_folder, placed, write_json
from saccade.data.dataset import Dataset, Split
from saccade.data.splits import parts_of
from saccade.errors import DataError, RunError
from saccade.experiments.eta import in_words, seconds_left, tell
from saccade.experiments.fold_assignment import growing_order
from saccade.experiments.learning_curve_plots import draw_curve
from saccade.experiments.learning_curve_result import LearningCurve, curve_of
from saccade.experiments.manifest import Plan, is_begun, keep_to, pictures_key
from saccade.experiments.power_law import MeasuredErrors
from saccade.experiments.train_and_predict import answers_after_training
from saccade.keras_loading import require_keras_settings
from saccade.named_paths import out_path
from saccade.plotting.figure import save_figure
from saccade.recipes import Recipe
from saccade.runs.lock import locked_for_training
from saccade.runs.predictions import Answers
from saccade.runs.run import Run
from saccade.sanitize import counted
from saccade.training.pretrained import Source
from saccade.training.repeated_training import Method, on_all_pictures, prepared

LEAST_SIZES = 4
_SIZES = 6
_SMALLEST_PART = 1 / 32
_PER_CLASS = 5
_LEAST_GROWTH = 1.25
# So many pictures tell accuracies apart that differ by three points; of few, no more than a quarter is taken.
_WELL_ASKED = 1000
_MOST_ASKED = 0.25


@dataclass(frozen=True)
class _Training:
    """One training of a curve: on so many pictures, the `repeat`-th of its size, counted from 0."""

    pictures: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{self.pictures}-{self.repeat + 1}"


def learning_curve(
    data: str | os.PathLike[str] | Dataset,
    *,
    recipe: str | Recipe | None = None,
    source: Source | Run | str | Path | None = None,
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    out: str | Path | None = None,
    progress: bool = True,
) -> LearningCurve:
    """Trains on growing numbers of pictures, asks all networks about the same others, and fits a power law.

    The pictures that all are asked about are the data's own validation split, else a part of the training pictures: the
    recipe's `validation`, more where that is fewer than 1,000, a quarter at most. Test pictures are not looked at. In
    each repeat every size holds the pictures of the smaller ones, its classes in the proportions of all. A training of
    few pictures follows the recipe as `train` would with so many.

    The directory keeps what each network answered: the same call goes on where it was stopped, and one with other
    sizes or more repeats trains only what is missing.

    Args:
        data: what `train` takes.
        recipe: a named recipe or a value of your own, its seed included. None: the default for pictures of this size.
        source: what every network is transferred from, as for `transfer`; None: they begin anew.
        sizes: at least four numbers of pictures. None: six, from a thirty-second of all to all.
        repeats: trainings of each size, at least 2; sizes of a quarter of the largest and fewer get twice as many.
        out: the directory to make, or to go on in. None: the first free `learning-curves/<data>-<recipe>-<n>`.
        progress: whether to tell on stderr how it goes, with an estimate of the time that is left.

    Returns:
        The curve; `learning_curve.json` and `learning_curve.png` are written.

    Raises:
        DataError: the data can't be used, or has too few pictures; or the sizes or repeats can't.
        RecipeError: there is no recipe of that name.
        RunError: `out` is in the way, or holds another curve.
        TrainingError: the recipe can't be used for this, or a training failed.
        KeyboardInterrupt: the user stopped it; what is done is kept.
    """
    require_keras_settings()
    check_folder(out)
    _check_repeats(repeats)
    dataset, method = prepared(data, recipe, source, progress=progress)
    training, asked = _parts(dataset, method.recipe)
    method = replace(method, recipe=on_all_pictures(method.recipe))
    chosen = _sizes(sizes, len(training), len(dataset.class_names))
    plan = Plan(
        purpose=f"learning curve{method.origin}",
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        pictures=pictures_key(training.hashes, asked.hashes),
        recipe=method.recipe,
    )
    folder = _folder(out, f"{dataset.name}-{method.recipe.name}")
    with locked_for_training(folder):
        keep_to(plan, folder)
        try:
            trainings = _trainings(chosen, repeats)
            measured = _measured(method, dataset, (training, asked), folder, trainings, shown=progress)
        except KeyboardInterrupt:
            tell(f"to go on with it: the same command with --out {shlex.quote(str(folder))}", shown=progress)
            raise
        curve, law = curve_of(measured, dataset, method.recipe, folder)
        # The sizes before, or fewer repeats, may have been drawn there: theirs are the same trainings.
        with placed(folder / "learning_curve.png") as path:
            save_figure(draw_curve(curve, law), path, dpi=110)
        write_json(folder / "learning_curve.json", curve.model_dump())
    return curve


def check_folder(out: str | Path | None) -> None:
    """Fails before any work where something is in the way that is not a curve to go on with.

    Raises:
        RunError: something is.
    """
    path = out_path(out, RunError)
    if path is None or is_begun(path):
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(
            f"'{path}' exists already; nothing is overwritten",
            expected="a directory that does not exist yet, an empty one, or that of a learning curve to go on with",
            remedy="name another one with --out, or leave --out away: they are then numbered",
        )


def _check_repeats(repeats: int) -> None:
    if repeats < 2:
        raise DataError(
            "how far accuracies vary can't be told from one training of each size",
            expected="at least 2 repeats",
            found=str(repeats),
        )


def _parts(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split]:
    """What is trained on, the largest size, and what all networks are asked about."""
    part = max(recipe.validation, min(_MOST_ASKED, _WELL_ASKED / max(1, len(dataset.splits["train"]))))
    parts = parts_of(dataset, validation=part, seed=recipe.seed)
    if not len(parts["validation"]):
        raise DataError(f"'{dataset.name}' has too few training pictures for a learning curve")
    return parts["train"], parts["validation"]


def _sizes(asked: Sequence[int] | None, pictures: int, classes: int) -> list[int]:
    if asked is None:
        smallest = max(round(_SMALLEST_PART * pictures), _PER_CLASS * classes)
        chosen = [round(size) for size in np.geomspace(smallest, max(pictures, smallest), _SIZES)]
        if chosen[-1] > pictures or chosen[1] < _LEAST_GROWTH * chosen[0]:
            raise DataError(
                "there are too few training pictures for a learning curve",
                expected=f"some {round(_PER_CLASS * classes * _LEAST_GROWTH ** (_SIZES - 1)) + 1:,} at least, beside "
                "those that the networks are asked about",
                found=f"{pictures:,} of {classes} classes",
                remedy=_sizes_that_work(pictures, classes),
            )
        return chosen
    chosen = sorted(set(asked))
    if len(chosen) < LEAST_SIZES or not classes <= chosen[0] <= chosen[-1] <= pictures:
        raise DataError(
            "these sizes make no learning curve",
            expected=f"at least {LEAST_SIZES} different ones, of {classes:,} to {pictures:,} pictures",
            found=", ".join(map(str, asked)),
            remedy=_sizes_that_work(pictures, classes),
        )
    return chosen


def _sizes_that_work(pictures: int, classes: int) -> str:
    """What to do where sizes do not suit so many training images: sizes that do, if any do."""
    smallest = max(classes, pictures // 5)
    if pictures - smallest < LEAST_SIZES - 1:
        return "collect more pictures"
    evenly = np.linspace(smallest, pictures, LEAST_SIZES).astype(int)  # at least 1 apart, so that all differ
    return f"name sizes: --sizes {','.join(map(str, evenly))}"


def _trainings(sizes: Sequence[int], repeats: int) -> list[_Training]:
    """All trainings, the smallest first; the smaller ones vary more, and cost less."""
    return [
        _Training(size, repeat) for size in sizes for repeat in range(2 * repeats if 4 * size <= sizes[-1] else repeats)
    ]


def _folder(out: str | Path | None, stem: str) -> Path:
    try:
        if out is None:
            return next_free_folder(Path("learning-curves"), stem)
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the directory can't be made: {error.strerror}", remedy="name another one with --out") from None
    return Path(out)


def _measured(
    method: Method,
    dataset: Dataset,
    parts: tuple[Split, Split],
    folder: Path,
    trainings: Sequence[_Training],
    *,
    shown: bool,
) -> MeasuredErrors:
    """Carries out all trainings, or takes what is kept of them."""
    wrong: dict[int, list[NDArray[np.bool_]]] = {}
    done: list[tuple[int, float]] = []
    tell(
        f"{len(trainings)} trainings, each asked about the same {counted(len(parts[1]), 'picture')}: {folder}",
        shown=shown,
    )
    for number, one in enumerate(trainings, start=1):
        was_kept, began = (folder / f"{one.name}.safetensors").exists(), time.perf_counter()
        answers = _answers(method, dataset, parts, folder, one)
        wrong.setdefault(one.pictures, []).append(answers.probabilities.argmax(axis=1) != answers.labels)
        if not was_kept:
            done.append((one.pictures, time.perf_counter() - began))
        left = [other.pictures for other in trainings[number:]]
        ended = f"accuracy {1 - wrong[one.pictures][-1].mean():.2%}{' (was there)' if was_kept else ''}"
        tell(
            f"training {number} of {len(trainings)}: {counted(one.pictures, 'picture')}, {ended}"
            + (f"; {in_words(seconds_left(done, left))}" if left else ""),
            shown=shown,
        )
    sizes = sorted(wrong)
    return MeasuredErrors(np.array(sizes, np.float64), tuple(np.stack(wrong[size]) for size in sizes))


def _answers(method: Method, dataset: Dataset, parts: tuple[Split, Split], folder: Path, one: _Training) -> Answers:
    training, asked = parts
    order = growing_order(training.labels, training.copies, seed=method.recipe.seed, repeat=one.repeat)
    subset = training.subset(np.sort(order[: one.pictures]))
    # Of its own for each, whatever other sizes and repeats there are.
    seed = (method.recipe.seed + 1009 * one.pictures + one.repeat + 1) % 2**32
    return answers_after_training(method.with_seed(seed), dataset, (subset, asked), folder / one.name)
