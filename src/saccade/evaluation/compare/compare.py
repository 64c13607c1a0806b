"""compare: runs side by side on the same images, with a verdict on each pair that takes seeds into account."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.errors import EvaluationError
from saccade.evaluation.compare.comparison import Comparison, DifferingImage, Pair, RunGroup
from saccade.evaluation.compare.comparison_files import (
    DifferingImages,
    fixes_of_comparison,
    free_directory,
    write_comparison,
)
from saccade.evaluation.compare.paired_predictions import PairedPredictions, pair_predictions
from saccade.evaluation.compare.run_groups import group_runs, make_run_group, names_of
from saccade.evaluation.compare.significance import DEFAULT_SEED_SPREAD, compare_correct, holm
from saccade.evaluation.evaluate import evaluate_run
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run, require_runs
from saccade.runs.training_command import source_note, training_command

_SEEDS = 5


def compare(
    runs: Sequence[Run | str | Path],
    *,
    data: str | os.PathLike[str] | None = None,
    split: SplitName = "test",
    out: str | Path | None = None,
    progress: bool = False,
) -> Comparison:
    """Compares runs on the images that all of them answered, and writes what it found into a new directory.

    Runs that differ by seed alone are one run group, with mean and spread; if all of them do, each stands for itself.
    Runs that have not been evaluated on these images, or were trained further since, are evaluated first.
    `comparison.json`, `comparison.png` and `differences.png` are written.

    Args:
        runs: at least two runs or their directories.
        data: a name or a path; it is taken as it is, without the fixes of any run. None: what each run was trained on,
            with the run's own fixes.
        split: which images of it, as for `evaluate`.
        out: the directory to make. None: the first free `comparisons/<n>`.
        progress: whether to show on stderr how far it is.

    Raises:
        RunError: no run there, a damaged one, or `out` is in the way.
        DataError: the data can't be used.
        EvaluationError: fewer than two runs, a run named twice; other classes, or no images in common.
    """
    opened = [Run.open(run) for run in require_runs(runs)]
    _check(opened, split)
    directory = free_directory(out)
    notes: list[str] = []
    predictions = [_predictions_of(run, data, split, notes, progress=progress) for run in opened]
    paired = pair_predictions(opened, predictions)
    groups = group_runs(opened)
    correct = [np.stack([paired.correct(place) for place in group]) for group in groups]
    members = [[opened[place] for place in group] for group in groups]
    run_groups = tuple(map(make_run_group, members, names_of(members), correct))
    images = DifferingImages.find(opened[0], paired, groups[:2], data=data, split=split)
    comparison = Comparison(
        data_name=images.data_name,
        split=split,
        n=len(paired.labels),
        groups=run_groups,
        pairs=_pairs(run_groups, correct),
        disagreements=_disagreements(opened[0].class_names, images),
        notes=tuple(dict.fromkeys((*notes, *_notes(opened, run_groups, paired), *images.notes))),
        files=tuple(directory.resolve() / name for name in images.file_names()),
    )
    write_comparison(comparison, images, directory)
    return comparison


def _check(runs: Sequence[Run], split: SplitName) -> None:
    if split not in SPLIT_NAMES:
        raise EvaluationError(f"there is no split '{split}'", expected=f"one of {', '.join(SPLIT_NAMES)}")
    if len(runs) < 2:
        raise EvaluationError("a comparison needs at least two runs", found=f"{len(runs)}")
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise EvaluationError(f"the run '{path}' is named twice", remedy="name each run once")


def _predictions_of(
    run: Run, data: str | os.PathLike[str] | None, split: SplitName, notes: list[str], *, progress: bool
) -> Predictions:
    """The run's answers, from its last evaluation if that was of its present weights."""
    # As `evaluate` names them; for other data the name is not known before that is loaded.
    mark = "" if split == "test" else f"-{split}"
    if data is None and run.evaluation(f"report{mark}.json") is not None:
        return run.predictions(f"predictions{mark}.safetensors")
    report = evaluate_run(run, data=data, split=split, fixes=fixes_of_comparison(data), progress=progress)
    notes.extend((f"'{run.name}' was evaluated first", *report.notes))
    (written,) = (path.name for path in report.files if path.suffix == ".safetensors")
    return run.predictions(written)


def _pairs(run_groups: Sequence[RunGroup], correct: Sequence[NDArray[np.bool_]]) -> tuple[Pair, ...]:
    places = list(combinations(range(len(run_groups)), 2))
    results = [compare_correct(correct[first], correct[second]) for first, second in places]
    adjusted = holm([result.p for result in results])
    return tuple(
        Pair(run_groups[first].name, run_groups[second].name, result, p)
        for (first, second), result, p in zip(places, results, adjusted, strict=True)
    )


def _disagreements(class_names: Sequence[str], images: DifferingImages) -> tuple[DifferingImage, ...]:
    return tuple(
        DifferingImage(
            hash=image,
            name=name,
            true=class_names[label],
            first=class_names[int(first.argmax())],
            second=class_names[int(second.argmax())],
            first_probability=round(float(first.max()), 6),
            second_probability=round(float(second.max()), 6),
        )
        for image, name, label, first, second in zip(
            images.hashes, images.names, images.labels, *images.probabilities, strict=True
        )
    )


def _notes(runs: Sequence[Run], run_groups: Sequence[RunGroup], paired: PairedPredictions) -> list[str]:
    notes = []
    if max(paired.predicted) > len(paired.labels):
        notes.append(f"compared on the {len(paired.labels):,} images that all runs answered; one answered more")
    if all(len(group.runs) == 1 for group in run_groups):
        notes.append(
            "there is one run of each: how far another seed would have come is not known, and is taken as "
            f"{100 * DEFAULT_SEED_SPREAD:g} points (standard deviation), which is too little for short trainings and "
            "for few images; measure it before you choose between recipes: train each with other seeds"
        )
        notes.extend(map(_command_for_more_seeds, runs))
    return notes


def _command_for_more_seeds(run: Run) -> str:
    """What to type to train as this run was trained, with other seeds, as a note."""
    if run.recipe.transfer:  # --seeds has no meaning beside --from
        seed = run.recipe.seed + 1
        command = training_command(run, {"seed": seed}, "--out", f"{run.path}-seed-{seed}")
        return f"another seed of '{run.name}': {command} {source_note(run)}".rstrip()
    command = training_command(run, {}, "--seeds", _SEEDS, "--out", f"{run.path}-seeds")
    return f"{_SEEDS} seeds of '{run.name}': {command}"
