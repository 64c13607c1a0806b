"""`saccade train`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.ray_options import require_alone, with_cluster_options
from saccade.cli.reading_options import NAMES, with_reading_options
from saccade.cli.train_options import (
    checked_settings,
    choose_recipe,
    load_dataset,
    load_dataset_and_recipe,
    parse_settings,
    pretrained_model,
    print_ineffective_keys,
)
from saccade.cli.training_result import print_training_result, training_result
from saccade.sanitize import command_line
from saccade.training.interrupt import TrainingInterrupt

if TYPE_CHECKING:
    from saccade.cli.cluster_training import ClusterJob
    from saccade.cli.parallel_training import ParallelJob
    from saccade.cluster.options import ClusterOptions
    from saccade.data.dataset import Dataset
    from saccade.runs.run import Run
    from saccade.training.parallel.parallel_step import Workers
    from saccade.training.progress import Progress
    from saccade.training.transfer_learning.pretrained import PretrainedModel


_LOGS = ("tensorboard", "mlflow")
_MODES_OF_A_RUN = ("--resume", "--extend")
_OF_THE_CLUSTER = ("address", "workers", "threads")
# Options that can't be combined with an option.
_EXCLUDED = {
    "--seeds": {"summary", "reuse_split", "source", "weights", "folds", "minutes"},
    "--folds": {"summary", "seeds", "minutes"},
    "--minutes": {"epochs", "source", "weights"},
}


def _duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|h|)", value.strip())
    if match is None:
        raise click.BadParameter(f"'{value}' is not a time such as 60s, 5m or 1h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


@click.command("train")
@click.argument("data", required=False)
@click.option("--recipe", metavar="NAME", help="Recipe (see saccade recipes). Default: fast; photo above 64 pixels.")
@click.option("--from", "source", metavar="SOURCE", help="Start from the pretrained weights of SOURCE.")
@click.option("--weights", metavar="FILE", help="With --from NAME: file of pretrained weights, instead of a download.")
@click.option("--out", metavar="DIR", help="Run directory. Default: runs/<data>-<recipe>-<n>.")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Number of epochs. With --extend: number of additional epochs."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Time budget in minutes, including saving. Recipe, image size and epochs are chosen to fit.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Number of images in a training step.")
@click.option("--seed", type=click.IntRange(min=0), help="Random seed. The same seed gives the same weights.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train N runs with consecutive seeds, the first from --seed.",
)
@click.option(
    "--folds", type=click.IntRange(2, 20), metavar="K",
    help="Cross-validate with K folds, then train on all images. Useful for small datasets.",
)  # fmt: skip
@click.option("--only-fold", type=click.IntRange(min=1), metavar="N", hidden=True)  # a task of a cluster
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=parse_settings,
    help="Set a recipe key. The option can be repeated.",
)
@click.option(
    "--checkpoint-every",
    metavar="TIME",
    callback=_duration,
    help="Time between two checkpoints, such as 60s, 5m or 1h. Default: 60s.",
)
@click.option("--resume", metavar="RUN", help="Resume an interrupted or killed training.")
@click.option("--extend", metavar="RUN", help="Train a finished run for --epochs +N more epochs and write a new run.")
@click.option(
    "--schedule",
    type=click.Choice(["hold", "restart", "anneal"]),
    help="With --extend: hold the last learning rate (default), restart the schedule, or anneal the rate to 0.",
)
@click.option("--force", is_flag=True, help="With --resume: accept different data, versions or machine.")
@with_reading_options
@click.option("--fixes", metavar="FILE", help="Drop and relabel images by this fixes.csv (see saccade audit).")
@click.option(
    "--reuse-split", metavar="RUN", help="Keep the images of RUN in their training, validation or test split."
)
@click.option("--strict", is_flag=True, help="Fail if an image is unreadable, instead of leaving it out.")
@click.option(
    "--dry-run", is_flag=True,
    help="Read the data, print how it was read, and stop before the training. With --ray: also print the nodes.",
)  # fmt: skip
@with_cluster_options
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs into the folder tensorboard of the run.")
@click.option("--mlflow", is_flag=True, help="Log to MLflow, configured by its environment variables.")
@click.option("--summary", is_flag=True, help="Print the layers of the network.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(context: click.Context, /, resume: str | None, extend: str | None, as_json: bool, **options: Any) -> None:
    """Train a classifier on DATA and write a run directory.

    DATA is a folder of class folders, an archive of such a folder, cifar10, digits, or a name in a folder of the
    environment variable SACCADE_DATA. Default: CIFAR-10, or the bundled digits if CIFAR-10 is not available.

    Ctrl-C ends the training after the current step and saves it; a second Ctrl-C ends it at once. After either, or
    after a crash, `saccade train --resume RUN` resumes the training. The final weights are the same as those of an
    uninterrupted training.

    With --minutes the command prints a plan before the training. It updates the plan if the machine becomes slower or
    faster. Values of --recipe and --set are not changed.

    With --from the training starts from pretrained weights: it fits a new head, then fine-tunes the network. This is
    useful for small datasets. SOURCE is a run, a weights.safetensors file of a run, or the name of a network of
    keras.applications, such as MobileNetV3Small or EfficientNetV2B0, whose ImageNet weights Keras downloads.

    With --seeds and --out DIR the runs are DIR/seed-0, DIR/seed-1 and so on; the same command trains the missing
    runs. With --folds and --out DIR the same command resumes the cross-validation.
    With --ray the trainings of --seeds or --folds run on the machines of a Ray cluster, with a shared --out. One
    training with --ray is divided among --workers N processes: each computes its part of every batch.
    """
    began = time.monotonic()
    cluster: ClusterOptions | None = options["cluster"]
    _check_parts(mode=resume or extend, **options)
    if cluster is None and options.pop("dry_run"):
        _allow(context, "--dry-run", set(options))
        _check_combinations(context, options)
        _dry_run(as_json=as_json, **options)
    elif options["seeds"] is not None or options["folds"] is not None:
        _train_several(context, as_json=as_json, resume=resume, extend=extend, **options)
    else:
        run = _train_one(context, resume=resume, extend=extend, began=began, as_json=as_json, **options)
        if run is None:
            return
        if as_json:
            print_json(training_result(run))
        else:
            print_training_result(run)
        if run.status().state == "interrupted":
            raise SystemExit(130)


def _train_one(
    context: click.Context, /, resume: str | None, extend: str | None, began: float, **options: Any
) -> Run | None:
    """Train, resume or extend a run; return None after a dry run."""
    on_cluster = {"dry_run": options.pop("dry_run", False), "as_json": options.pop("as_json")}
    cluster: ClusterOptions | None = options.pop("cluster")
    if resume is not None:
        _allow(context, "--resume", {"data", "force", "cluster", "dry_run", *_LOGS})
        with _resumable():
            resumed = _resume(resume, _parallel_job(cluster, **on_cluster), **options)
        if resumed is None:
            return None
        run = resumed
    elif extend is not None:
        _allow(context, "--extend", {"data", "epochs", "schedule", "out", *_LOGS})
        if options["epochs"] is None:
            raise click.UsageError("--extend requires --epochs +N, the number of additional epochs.")
        from saccade.training.extend import extend as train_further

        schedule: Any = options["schedule"] or "hold"
        with _resumable():
            run = train_further(
                extend, options["epochs"], schedule=schedule, data=options["data"], out=options["out"],
                progress=_progress(**options),
            )  # fmt: skip
    else:
        _check_combinations(context, options)
        with _resumable():
            return _train(_parallel_job(cluster, **on_cluster), began=began, **options)
    print_notes(run.data.notes)  # other trainings print the notes before they begin
    return run


def _train_several(
    context: click.Context, /, *, as_json: bool, resume: str | None, extend: str | None, **options: Any
) -> None:
    """Train a run for each seed, or cross-validate."""
    cluster, dry_run = options.pop("cluster"), options.pop("dry_run", False)
    mode = "--resume" if resume is not None else "--extend" if extend is not None else None
    if mode is not None:
        _allow(context, mode, {"data"})
    _check_combinations(context, options)
    job = None
    if cluster is not None:
        from saccade.cli.cluster_training import ClusterJob
        from saccade.cluster.connection import require_response

        require_response(cluster.address)
        job = ClusterJob(context, cluster, dry_run, as_json)
    if options["seeds"] is not None:
        _train_seeds(job, as_json=as_json, **options)
        return
    from saccade.cli.folds import train_folds

    train_folds(lambda: _progress(**options), job=job, as_json=as_json, **options)


def _check_parts(
    *,
    cluster: ClusterOptions | None,
    seeds: int | None,
    folds: int | None,
    only_fold: int | None,
    out: str | None,
    source: str | None,
    mode: str | None,
    mlflow: bool,
    **_others: Any,
) -> None:
    """Reject command lines that ask for a part of a work without parts, or for a cluster without a shared folder."""
    if only_fold is not None and (folds is None or only_fold > folds):
        raise click.UsageError("--only-fold requires --folds K, and is at most K.")
    if cluster is None:
        return
    of_one_training = seeds is None and folds is None
    require_alone(
        only_fold=only_fold, mlflow=mlflow and not of_one_training, **({"from": source} if of_one_training else {})
    )
    if out is None and mode is None:
        raise click.UsageError("--ray requires --out DIR, a folder that all nodes share.")


@contextmanager
def _resumable() -> Iterator[None]:
    """Print the command that resumes a training which Ctrl-C ended before it had saved weights."""
    try:
        yield
    except TrainingInterrupt as interrupt:
        print_line(f"to resume: {command_line('train', '--resume', interrupt.run)}", err=True)
        raise


def _check_combinations(context: click.Context, options: dict[str, Any]) -> None:
    """Reject options of a new training that contradict each other."""
    allowed = (set(options) | {"dry_run", "cluster"}) - {"schedule", "force"}
    _allow(context, None, allowed)
    for mode, excluded in _EXCLUDED.items():
        if options[mode.removeprefix("--")] is not None:
            _allow(context, mode, allowed - excluded)


def _allow(context: click.Context, mode: str | None, allowed: set[str]) -> None:
    """Reject options that cannot be combined with a mode such as --resume, or that require another mode."""
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        name = "reading" if name in NAMES else "cluster" if name in _OF_THE_CLUSTER else name
        if given and name not in {"as_json", (mode or "").removeprefix("--").replace("-", "_")} | allowed:
            option = parameter.opts[0]
            its_own = ": the run has its own" if mode in _MODES_OF_A_RUN and name != "cluster" else ""
            raise click.UsageError(
                f"{option} cannot be combined with {mode}{its_own}."
                if mode
                else f"{option} requires {'--extend' if name == 'schedule' else '--resume'}."
            )


def _parallel_job(cluster: ClusterOptions | None, *, dry_run: bool, as_json: bool) -> ParallelJob | None:
    """Return the job of a training by several workers; None without --ray."""
    if cluster is None:
        return None
    from saccade.cli.parallel_training import ParallelJob

    job = ParallelJob(cluster, dry_run, as_json)
    job.begin()
    return job


def _resume(path: str, job: ParallelJob | None, /, data: str | None, *, force: bool, **options: Any) -> Run | None:
    if job is None:
        from saccade.training.resume import resume

        return resume(path, data, force=force, progress=_progress(**options))
    from saccade.runs.run import Run
    from saccade.runs.run_split import load_run_data
    from saccade.runs.training_command import require_unfinished

    run = Run.open(path)
    require_unfinished(run)
    dataset = load_run_data(run, data)
    with job.like(run).workers(dataset, path) as workers:
        if workers is None:
            return None
        from saccade.training.resume import resume_with

        return resume_with(workers, run, dataset, force=force, progress=_progress(**options))


def _train(
    job: ParallelJob | None,
    /,
    out: str | None,
    settings: dict[str, Any],
    minutes: float | None,
    began: float,
    **options: Any,
) -> Run | None:
    source = pretrained_model(**options)
    if source is not None:
        return _transfer(source, out, settings, **options)
    settings = checked_settings(settings, **options)
    from saccade.runs.create import check_free
    from saccade.runs.run import Run

    check_free(out)
    reuse_split = None if options["reuse_split"] is None else Run.open(options["reuse_split"])
    dataset = load_dataset(settings, **options)
    if job is None:
        return _train_on(dataset, None, reuse_split, began, minutes=minutes, out=out, settings=settings, **options)
    with job.workers(dataset, str(out)) as workers:
        if workers is None:
            return None
        return _train_on(dataset, workers, reuse_split, began, minutes=minutes, out=out, settings=settings, **options)


def _train_on(
    dataset: Dataset,
    workers: Workers | None,
    reuse_split: Run | None,
    began: float,
    /,
    *,
    minutes: float | None,
    out: str | None,
    settings: dict[str, Any],
    **options: Any,
) -> Run:
    """Train on a loaded dataset, in this process or by workers."""
    if minutes is not None:
        from saccade.training.time_budget.budget import Budget
        from saccade.training.train_within import Wanted, train_in_budget

        budget = Budget(minutes, began)
        run = train_in_budget(
            dataset, budget, Wanted(options["recipe"], settings), out=out, reuse_split=reuse_split,
            workers=workers, progress=_progress(**options),
        )  # fmt: skip
        print_ineffective_keys(run.recipe, settings)  # the plan has chosen the epochs
        return run

    from saccade.training.train import train_with

    recipe = choose_recipe(dataset, settings, options["recipe"], options["epochs"])
    return train_with(workers, dataset, recipe, out=out, reuse_split=reuse_split, progress=_progress(**options))


def _transfer(source: PretrainedModel, out: str | None, settings: dict[str, Any], /, **options: Any) -> Run:
    if options["reuse_split"] is not None:
        raise click.UsageError("--reuse-split cannot be combined with --from, which draws its own split.")
    settings = checked_settings(settings, **options)
    from saccade.runs.create import check_free
    from saccade.training.transfer import transfer

    check_free(out)
    dataset, _ = load_dataset_and_recipe(source, settings, **options)
    return transfer(
        dataset, source, out=out, epochs=options["epochs"], settings=settings, progress=_progress(**options)
    )


def _dry_run(*, as_json: bool, settings: dict[str, Any], **options: Any) -> None:
    from saccade.data.explore import explore
    from saccade.runs.create import check_free

    source = pretrained_model(**options)
    check_free(options["out"])
    settings = checked_settings(settings, **options)
    dataset, _ = load_dataset_and_recipe(source, settings, **options)
    if as_json:
        print_json(explore(dataset).to_dict())


def _train_seeds(
    job: ClusterJob | None, /, *, as_json: bool, seeds: int, out: str | None, settings: dict[str, Any], **options: Any
) -> None:
    settings = checked_settings(settings, **options)
    if out is not None:
        from saccade.training.seeds import check_folder

        check_folder(out)
    dataset = load_dataset(settings, **options)

    from saccade.cli.seeds import print_series
    from saccade.training.seeds import train_seeds

    recipe = choose_recipe(dataset, settings, options["recipe"], options["epochs"])
    if job is not None and out is not None:
        trainings = job.train_seeds(dataset, seeds, recipe, out)
        if job.dry_run:
            list(trainings)
            return
    else:
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
