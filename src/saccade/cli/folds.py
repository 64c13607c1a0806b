"""Cross-validation by `saccade train --folds`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from saccade.cli.output import print_json, print_line
from saccade.cli.train_options import checked_settings, load_dataset_and_recipe, pretrained_model
from saccade.cli.training_result import training_result
from saccade.sanitize import command_line

if TYPE_CHECKING:
    from saccade.cli.cluster_training import ClusterJob
    from saccade.training.progress import Progress


def train_folds(
    progress: Callable[[], Progress],
    *,
    job: ClusterJob | None,
    as_json: bool,
    folds: int,
    only_fold: int | None,
    out: str | None,
    settings: dict[str, Any],
    reuse_split: str | None,
    **options: Any,
) -> None:
    """Train once for each fold and once on all images, and print the result.

    Args:
        progress: function that returns the progress callback of the trainings.
        job: cluster that trains what is missing; None: this process does.
        as_json: print one JSON document instead of lines.
        folds: number of folds.
        only_fold: fold, counted from 1, after whose training the command ends; None for all trainings.
        out: run directory.
        settings: recipe keys and their values.
        reuse_split: directory of a previous run whose test split is kept.
        options: other options of `saccade train`.
    """
    source = pretrained_model(**options)
    settings = checked_settings(settings, **options)
    from saccade.experiments.cross_validation import CrossValidation, check_place
    from saccade.runs.run import Run

    check_place(out)
    previous_run = None if reuse_split is None else Run.open(reuse_split)
    dataset, recipe = load_dataset_and_recipe(source, settings, **options)
    cross_validation = CrossValidation(
        dataset, folds, recipe=recipe, source=source, out=out, reuse_split=previous_run, progress=progress()
    )
    if only_fold is not None:
        cross_validation.train_fold(only_fold - 1)
        return
    if job is not None:
        job.train_folds(dataset, cross_validation)
        if job.dry_run:
            return
    run = cross_validation.run()
    record = run.folds()
    if as_json:
        print_json(training_result(run) | {"folds": record and record.model_dump()})
        return
    status = run.status()
    print_line(
        f"trained on {run.data_name}, on all images except the test split: weights of epoch "
        f"{status.kept_epoch} of {run.recipe.epochs} kept"
    )
    if record is not None:
        print_line(f"{record.summary}; the test split was not used")
    print_line(f"run: {run.path}\nnext: {command_line('evaluate', run.path)}")
