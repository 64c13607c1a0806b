"""`saccade train`."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_notes
from saccade.cli.train_options import (
    begun,
    checked,
    loaded,
    print_without_effect,
    resolved,
    settings_given,
    source_given,
)
from saccade.cli.training_result import print_training_result, training_result

if TYPE_CHECKING:
    from saccade.runs.run import Run
    from saccade.training.progress import Progress
    from saccade.training.transfer_learning.pretrained import PretrainedModel


_LOGS = ("tensorboard", "mlflow")
_GIVE_A_RUN = ("--resume", "--extend")


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
@click.option("--from", "source", metavar="SOURCE", help="Go on from a network that has learned; see below.")
@click.option("--weights", metavar="FILE", help="With --from NAME: its weights, instead of a download.")
@click.option("--out", metavar="DIR", help="The run directory to make. Default: runs/<data>-<recipe>-<n>.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs in all; with --extend: how many more.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Choose recipe, size and epochs so that all, saving included, takes N minutes.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images in a step.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed gives another training; the same one the same.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Train N runs, with --seed and the next N - 1.")
@click.option(
    "--folds", type=click.IntRange(2, 20), metavar="K",
    help="Of few images: measure on all of them by K trainings, each without a part, then train on all.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=settings_given, help="Change a recipe key."
)
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
@click.option("--fixes", metavar="FILE", help="Drop and relabel images as this fixes.csv says; see saccade audit.")
@click.option("--reuse-split", metavar="RUN", help="Images that RUN had stay training, validation or test images.")
@click.option("--strict", is_flag=True, help="Fail if an image can't be read, instead of leaving it out.")
@click.option("--tensorboard", is_flag=True, help="Write logs for TensorBoard into the run's folder tensorboard.")
@click.option("--mlflow", is_flag=True, help="Log to MLflow, where its environment variables say.")
@click.option("--summary", is_flag=True, help="Print the network's layers.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(context: click.Context, /, resume: str | None, extend: str | None, as_json: bool, **options: Any) -> None:
    """Train a classifier on DATA and leave a run directory.

    DATA is cifar10, digits, a folder of class folders, an archive of one, or a name in a folder of SACCADE_DATA.
    Without DATA: CIFAR-10, or the bundled digits where it can't be had.

    Ctrl-C stops after the running step and saves; a second Ctrl-C quits. Either way, and after a crash,
    `saccade train --resume RUN` goes on, to the same weights that a training without a stop would have come to.

    With --minutes the plan is shown first, and kept to by planning the rest anew where the machine gets slower or
    faster. What is named, by --recipe or --set, is kept.
    With --from, a network that has learned from other images gets a new head, and is then trained on carefully: the
    way when images are few. SOURCE is a run, the weights.safetensors of one, or the name of a network of
    keras.applications, such as MobileNetV3Small or EfficientNetV2B0, whose ImageNet weights Keras downloads.

    With --seeds and --out DIR the runs are DIR/seed-0, DIR/seed-1 and so on, and the same command goes on with those
    that are missing. With --folds and --out DIR the same command goes on as well.
    """
    began = time.monotonic()
    if resume is not None:
        _allow(context, "--resume", {"data", "force", *_LOGS})
        from saccade.training.resume import resume as go_on

        run = go_on(resume, options["data"], force=options["force"], progress=_progress(**options))
    elif extend is not None:
        _allow(context, "--extend", {"data", "epochs", "schedule", "out", *_LOGS})
        if options["epochs"] is None:
            raise click.UsageError("--extend needs --epochs +N: how many more.")
        from saccade.training.extend import extend as train_further

        schedule: Any = options["schedule"] or "hold"
        run = train_further(
            extend, options["epochs"], schedule=schedule, data=options["data"], out=options["out"],
            progress=_progress(**options),
        )  # fmt: skip
    else:
        _allow(context, None, set(options) - {"schedule", "force"})
        if options["seeds"] is not None:
            _allow(
                context, "--seeds",
                set(options) - {"schedule", "force", "summary", "reuse_split", "source", "weights", "folds", "minutes"},
            )  # fmt: skip
            _train_seeds(as_json=as_json, **options)
            return
        if options["folds"] is not None:
            _allow(context, "--folds", set(options) - {"schedule", "force", "summary", "seeds", "minutes"})
            from saccade.cli.folds import cross_validated

            cross_validated(lambda: _progress(**options), as_json=as_json, **options)
            return
        if options["minutes"] is not None:
            _allow(context, "--minutes", set(options) - {"schedule", "force", "epochs", "source", "weights"})
        run = _train(began=began, **options)
    if resume is not None or extend is not None:
        print_notes(run.data.notes)  # a training on DATA tells of them before it begins
    if as_json:
        print_json(training_result(run))
    else:
        print_training_result(run)
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
                f"{option} has no meaning beside {mode}{': the run has its own' if mode in _GIVE_A_RUN else ''}."
                if mode
                else f"{option} belongs to {'--extend' if name == 'schedule' else '--resume'}."
            )


def _train(out: str | None, settings: dict[str, Any], minutes: float | None, began: float, **options: Any) -> Run:
    source = source_given(**options)
    if source is not None:
        return _transfer(source, out, settings, **options)
    settings = checked(settings, **options)
    from saccade.runs.create import check_free
    from saccade.runs.run import Run

    check_free(out)
    reuse_split = None if options["reuse_split"] is None else Run.open(options["reuse_split"])
    dataset = loaded(settings, **options)
    if minutes is not None:
        from saccade.training.train_within import Budget, train_in_budget

        budget = Budget(minutes, began)
        run = train_in_budget(
            dataset, budget, recipe=options["recipe"], out=out, settings=settings, reuse_split=reuse_split,
            progress=_progress(**options),
        )  # fmt: skip
        print_without_effect(run.recipe, settings)  # the plan has chosen the epochs
        return run

    from saccade.training.train import train

    recipe = resolved(dataset, settings, options["recipe"], options["epochs"])
    return train(dataset, recipe=recipe, out=out, reuse_split=reuse_split, progress=_progress(**options))


def _transfer(source: PretrainedModel, out: str | None, settings: dict[str, Any], /, **options: Any) -> Run:
    if options["reuse_split"] is not None:
        raise click.UsageError("--reuse-split has no meaning beside --from: it parts the images itself.")
    settings = checked(settings, **options)
    from saccade.runs.create import check_free
    from saccade.training.transfer import transfer

    check_free(out)
    dataset, _ = begun(source, settings, **options)
    return transfer(
        dataset, source, out=out, epochs=options["epochs"], settings=settings, progress=_progress(**options)
    )


def _train_seeds(*, as_json: bool, seeds: int, out: str | None, settings: dict[str, Any], **options: Any) -> None:
    settings = checked(settings, **options)
    if out is not None:
        from saccade.training.seeds import check_folder

        check_folder(out)
    dataset = loaded(settings, **options)

    from saccade.cli.seeds import print_series
    from saccade.training.seeds import train_seeds

    recipe = resolved(dataset, settings, options["recipe"], options["epochs"])
    trainings = train_seeds(dataset, seeds, recipe=recipe, out=out, progress=_progress(**options))
    print_series(trainings, seeds, out, as_json=as_json)


def _progress(*, tensorboard: bool, mlflow: bool, summary: bool, **_others: Any) -> Progress:
    """Return the progress on standard error, with the loggers that are wanted."""
    from saccade.training.progress import ProgressList, TerminalProgress

    callbacks: list[Progress] = [TerminalProgress(summary=summary)]
    if tensorboard or mlflow:
        from saccade.training.loggers import MlflowLogger, TensorBoardLogger

        callbacks += [TensorBoardLogger()] if tensorboard else []
        callbacks += [MlflowLogger()] if mlflow else []
    return ProgressList(*callbacks)
