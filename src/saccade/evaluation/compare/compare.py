"""Comparison of runs on the same images, with a verdict on each pair of run groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import SplitName
from saccade.data.load import Data
from saccade.errors import EvaluationError
from saccade.evaluation.compare.comparison import Comparison, Disagreement, Pair, RunGroup
from saccade.evaluation.compare.comparison_files import (
    DisagreementImages,
    fixes_of_comparison,
    free_directory,
    write_comparison,
)
from saccade.evaluation.compare.paired_predictions import PairedPredictions, pair_predictions, require_same_classes
from saccade.evaluation.compare.run_groups import group_runs, make_run_group, name_groups
from saccade.evaluation.compare.significance import DEFAULT_SEED_SPREAD, compare_correct
from saccade.evaluation.evaluate import evaluate_run
from saccade.evaluation.multiple_comparisons import holm
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run, require_runs
from saccade.runs.run_split import require_split_name
from saccade.runs.training_command import source_note, training_command

_SEEDS = 5


def compare(
    runs: Sequence[Run | str | Path],
    *,
    data: Data | None = None,
    split: SplitName = "test",
    out: str | Path | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare runs on the images that all runs predicted, and write the comparison into a new directory.

    Runs that differ only by seed form one run group, with mean and standard deviation. If all runs differ only by seed,
    each run is a run group. Runs without an evaluation of their present weights on these images are evaluated first.
    The files are `comparison.json`, `comparison.png` and `differences.png`.

    Args:
        runs: at least two runs or their directories.
        data: a name or a path; the data is used without the fixes of any run. None: the data of each run's training,
            with the run's own fixes.
        split: name of the split, as for `evaluate`.
        out: directory to create. None: the first free `comparisons/<n>`.
        progress: show progress on stderr.

    Raises:
        RunError: a run is missing or damaged, or `out` exists.
        DataError: the data can't be used.
        EvaluationError: fewer than two runs, a run named twice, different classes, or no images in common.
    """
    opened = [Run.open(run) for run in require_runs(runs)]
    _check(opened, split)
    directory = free_directory(out)
    notes: list[str] = []
    predictions = [_predictions_of(run, data, split, notes, progress=progress) for run in opened]
    paired = pair_predictions(opened, predictions)
    groups = group_runs(opened)
    correct = [np.stack([paired.correct(index) for index in group]) for group in groups]
    members = [[opened[index] for index in group] for group in groups]
    run_groups = tuple(map(make_run_group, members, name_groups(members), correct))
    images = DisagreementImages.find(opened[0], paired, groups[:2], data=data, split=split)
    own_notes = (*_notes(opened, run_groups, paired), *_notes_on_minutes(run_groups, members))
    comparison = Comparison(
        data_name=images.data_name,
        split=split,
        n=len(paired.labels),
        groups=run_groups,
        pairs=_pairs(run_groups, correct),
        disagreements=_disagreements(opened[0].class_names, images),
        notes=tuple(dict.fromkeys((*notes, *own_notes, *images.notes))),
        files=tuple(directory.resolve() / name for name in images.file_names()),
    )
    write_comparison(comparison, images, directory)
    return comparison


def _check(runs: Sequence[Run], split: SplitName) -> None:
    require_split_name(split)
    if len(runs) < 2:
        raise EvaluationError("a comparison needs at least two runs", found=f"{len(runs)}")
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise EvaluationError(f"the run '{path}' is named twice", remedy="name each run once")
    require_same_classes(runs)


def _predictions_of(run: Run, data: Data | None, split: SplitName, notes: list[str], *, progress: bool) -> Predictions:
    """Return the predictions of the last evaluation, or evaluate the run if the evaluation is of other weights."""
    # The names of the files for other data contain a hash, which is known only after loading the data.
    mark = "" if split == "test" else f"-{split}"
    if data is None and run.evaluation(f"report{mark}.json") is not None:
        return run.predictions(f"predictions{mark}.safetensors")
    report = evaluate_run(run, data=data, split=split, fixes=fixes_of_comparison(data), progress=progress)
    notes.extend((f"'{run.name}' was evaluated first", *report.notes))
    (written,) = (path.name for path in report.files if path.suffix == ".safetensors")
    return run.predictions(written)


def _pairs(run_groups: Sequence[RunGroup], correct: Sequence[NDArray[np.bool_]]) -> tuple[Pair, ...]:
    indices = list(combinations(range(len(run_groups)), 2))
    results = [compare_correct(correct[first], correct[second]) for first, second in indices]
    adjusted = holm([result.p for result in results])
    return tuple(
        Pair(run_groups[first].name, run_groups[second].name, result, p)
        for (first, second), result, p in zip(indices, results, adjusted, strict=True)
    )


def _disagreements(class_names: Sequence[str], images: DisagreementImages) -> tuple[Disagreement, ...]:
    return tuple(
        Disagreement(
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
    notes = list(_notes_on_equal_weights(runs))
    if max(paired.num_predicted) > len(paired.labels):
        notes.append(
            f"compared on the {len(paired.labels):,} images that all runs predicted; some runs predicted more images"
        )
    if all(len(group.runs) == 1 for group in run_groups):
        notes.append(
            "each run group has one run: the standard deviation of the accuracy over seeds is unknown and assumed to "
            f"be {100 * DEFAULT_SEED_SPREAD:g} points, which is too low for short trainings and for few images; before "
            "you choose between recipes, train each recipe with several seeds"
        )
        notes.extend(map(_command_for_more_seeds, runs))
    return notes


def _notes_on_equal_weights(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a note for each run whose weights are those of a run before it: the same training with the same seed."""
    first: dict[str, Run] = {}
    for run in runs:
        same = first.setdefault(run.weights_fingerprint(), run)
        if same is not run:
            yield f"'{run.name}' has the same weights as '{same.name}': train one of them with another seed, --seed N"


def _notes_on_minutes(run_groups: Sequence[RunGroup], members: Sequence[Sequence[Run]]) -> Iterator[str]:
    """Yield notes on the part of the training time that is not in the minutes of a run group."""
    recipes = [(f"'{group.name}'", runs[0].recipe) for group, runs in zip(run_groups, members, strict=True)]
    if probed := [name for name, recipe in recipes if recipe.transfer]:
        yield (
            f"the minutes of {', '.join(probed)} do not count features and outputs of images that were in the cache: "
            "the first training of a pretrained network on some data takes longer than the following ones"
        )


def _command_for_more_seeds(run: Run) -> str:
    """Return a note with the command that repeats the training with other seeds."""
    if run.recipe.transfer:  # --seeds can't be combined with --from
        seed = run.recipe.seed + 1
        command = training_command(run, {}, "--seed", seed, "--out", f"{run.path}-seed-{seed}")
        return f"another seed of '{run.name}': {command} {source_note(run)}".rstrip()
    command = training_command(run, {}, "--seeds", _SEEDS, "--out", f"{run.path}-seeds")
    return f"{_SEEDS} seeds of '{run.name}': {command}"
