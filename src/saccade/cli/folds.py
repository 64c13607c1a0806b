"""`saccade train --folds`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from saccade.cli.output import print_json, print_line
from saccade.cli.train_options import begun, checked, source_given
from saccade.cli.training_result import training_result
from saccade.sanitize import command_line

if TYPE_CHECKING:
    from saccade.training.progress import Progress


def cross_validated(
    progress: Callable[[], Progress],
    *,
    as_json: bool,
    folds: int,
    out: str | None,
    settings: dict[str, Any],
    reuse_split: str | None,
    **options: Any,
) -> None:
    """Trains once for each fold and once on all, and tells of the result.

    Args:
        progress: makes what shows each training.
        as_json: one JSON document instead of lines.
        folds: how many.
        out: the run directory.
        settings: recipe keys to change.
        reuse_split: a previous run.
        options: the others of `saccade train`.
    """
    source = source_given(**options)
    settings = checked(settings, **options)
    from saccade.experiments.cross_validation import check_place, cross_validate
    from saccade.runs.run import Run

    check_place(out)
    previous_run = None if reuse_split is None else Run.open(reuse_split)
    dataset, recipe = begun(source, settings, **options)
    run = cross_validate(
        dataset, folds, recipe=recipe, source=source, out=out, reuse_split=previous_run, progress=progress()
    )
    record = run.folds()
    if as_json:
        print_json(training_result(run) | {"folds": record and record.model_dump()})
        return
    status = run.status()
    print_line(
        f"trained on {run.data_name}, on all images but those of the test split: weights of epoch "
        f"{status.kept_epoch} of {run.recipe.epochs} kept"
    )
    if record is not None:
        print_line(f"{record.summary}; the test split has not been looked at")
    print_line(f"run: {run.path}\nnext: {command_line('evaluate', run.path)}")
