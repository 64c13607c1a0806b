"""`saccade train`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_notes, print_refused, say

if TYPE_CHECKING:
    from saccade.data.dataset import Dataset
    from saccade.runs.run import Run


def _settings(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"'{value}' is not KEY=VALUE")
        settings[key.strip().replace("-", "_")] = text.strip()
    return settings


def _duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|h|)", value.strip())
    if match is None:
        raise click.BadParameter(f"'{value}' is not a time; name one such as 60s, 5m or 1h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


@click.command("train")
@click.argument("data", required=False)
@click.option("--recipe", metavar="NAME", help="See `saccade recipes`. Default: fast; folder above 64x64 pixels.")
@click.option("--out", metavar="DIR", help="The run directory to make. Default: runs/<data>-<recipe>-<n>.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs in all; with --extend: how many more.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Pictures in a step.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed gives another training; the same one the same.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_settings, help="Change a recipe key.")
@click.option(
    "--checkpoint-every", metavar="TIME", callback=_duration, help="Such as 60s, which is the default, 5m or 1h."
)
@click.option("--resume", metavar="RUN", help="Go on with a training that was killed or interrupted.")
@click.option("--extend", metavar="RUN", help="Train a finished run for --epochs +N more, into a new run.")
@click.option(
    "--schedule",
    type=click.Choice(["hold", "restart", "anneal"]),
    help="With --extend: keep the last learning rate (default), start the schedule anew, or fall from there to 0.",
)
@click.option("--force", is_flag=True, help="With --resume: although data, versions or machine differ.")
@click.option("--fixes", metavar="FILE", help="Drop and relabel pictures as this fixes.csv says; see saccade audit.")
@click.option("--strict", is_flag=True, help="Fail if a picture can't be read, instead of leaving it out.")
@click.option("--summary", is_flag=True, help="Print the network's layers.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(context: click.Context, /, resume: str | None, extend: str | None, as_json: bool, **options: Any) -> None:
    """Train a classifier on DATA and leave a run directory.

    DATA is cifar10, digits, a folder of class folders, an archive of one, or a name in a folder of SACCADE_DATA.
    Without DATA: CIFAR-10, or the bundled digits where it can't be had.

    Ctrl-C stops after the running step and saves; a second Ctrl-C quits. Either way, and after a crash,
    `saccade train --resume RUN` goes on, to the same weights that a training without a stop would have come to.
    """
    if resume is not None:
        _allow(context, "--resume", {"data", "force"})
        from saccade.training.resume import resume as go_on

        run = go_on(resume, options["data"], force=options["force"])
    elif extend is not None:
        _allow(context, "--extend", {"data", "epochs", "schedule", "out"})
        if options["epochs"] is None:
            raise click.UsageError("--extend needs --epochs +N: how many more.")
        from saccade.training.extend import extend as train_further

        schedule: Any = options["schedule"] or "hold"
        run = train_further(extend, options["epochs"], schedule=schedule, data=options["data"], out=options["out"])
    else:
        _allow(context, None, set(options) - {"schedule", "force"})
        run = _train(**options)
    if as_json:
        print_json(_result(run))
    else:
        _conclude(run)
    if run.status().state == "interrupted":
        raise SystemExit(130)


def _allow(context: click.Context, mode: str | None, allowed: set[str]) -> None:
    """Refuses options that have no meaning beside --resume, beside --extend or without them."""
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        if given and name not in {"as_json", (mode or "").removeprefix("--")} | allowed:
            option = parameter.opts[0]
            raise click.UsageError(
                f"{option} has no meaning beside {mode}: the run has its own."
                if mode
                else f"{option} belongs to {'--extend' if name == 'schedule' else '--resume'}."
            )


def _train(
    data: str | None,
    recipe: str | None,
    out: str | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int | None,
    settings: dict[str, Any],
    checkpoint_every: float | None,
    fixes: str | None,
    strict: bool,
    summary: bool,
    **_others: Any,
) -> Run:
    from saccade.recipes import get_recipe

    options = {"batch_size": batch_size, "seed": seed, "checkpoint_seconds": checkpoint_every}
    settings = settings | {key: value for key, value in options.items() if value is not None}
    # A wrong recipe, key or value is refused at once, before anything heavy is loaded.
    checked = get_recipe(recipe or "quick").with_settings(settings)

    from saccade.data.fixes import apply_fixes, read_fixes
    from saccade.data.load import load, load_default
    from saccade.runs.create import check_free

    check_free(out)
    size = checked.image_size
    dataset = (
        load_default(image_size=size, progress=True) if data is None else load(data, image_size=size, progress=True)
    )
    if fixes is not None:
        dataset = apply_fixes(dataset, read_fixes(fixes))
    _announce(dataset)
    if strict:
        dataset.require_all()

    from saccade.training.train import train

    return train(dataset, recipe=recipe, out=out, epochs=epochs, settings=settings, summary=summary)


def _announce(dataset: Dataset) -> None:
    counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    size = f"{dataset.rule.width}x{dataset.rule.height}"
    say(f"data: {dataset.name}, {len(dataset.class_names)} classes, {counts}, {size} pixels", err=True)
    if dataset.refused:
        say(f"data: {len(dataset.refused)} pictures can't be read and are left out:", err=True)
        print_refused(dataset.refused, "see them all: saccade explore", err=True)
    print_notes(dataset.notes)


def _result(run: Run) -> dict[str, Any]:
    status, history = run.status(), run.history()
    kept = history[status.kept_epoch - 1]
    return {
        "run": str(run.path),
        "data": run.data_name,
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "state": status.state,
        "epochs": status.epochs,
        "kept_epoch": status.kept_epoch,
        "validation_pictures": run.data.pictures["validation"],
        "validation_accuracy": kept.validation_accuracy,
        "notes": list(run.data.notes),
    }


def _conclude(run: Run) -> None:
    print_notes(run.data.notes)
    status, n = run.status(), run.data.pictures["validation"]
    kept = run.history()[status.kept_epoch - 1]
    ended = {"finished": "trained", "stopped early": "stopped early", "interrupted": "interrupted"}[status.state]
    say(f"{ended} on {run.data_name}: weights of epoch {status.kept_epoch} of {run.recipe.epochs} kept")
    if kept.validation_accuracy is not None:
        from saccade.evaluation.metrics import wilson_interval

        low, high = wilson_interval(round(kept.validation_accuracy * n), n)
        say(
            f"validation accuracy {kept.validation_accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {n:,}); "
            "the test split has not been looked at"
        )
    path = Path(run.path)
    if status.state == "interrupted":
        say(f"to go on with it: saccade train --resume {path}")
    say(f"run: {path}\nnext: saccade evaluate {path}")
