"""`saccade tune`."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.ray_options import require_out, with_cluster_options
from saccade.cli.reading_options import with_reading_options
from saccade.cli.train_options import parse_settings, print_dataset
from saccade.data.reading_options import ReadingOptions
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.cluster.options import ClusterOptions
    from saccade.data.dataset import Dataset
    from saccade.tuning.parallel_trials import Trainings
    from saccade.tuning.result import Tuning


@click.command("tune")
@click.argument("data")
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Total number of trials of the study.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), metavar="N",
    help="Time budget in minutes, including the final trainings.",
)  # fmt: skip
@click.option("--recipe", metavar="NAME", help="Recipe to tune. Default: fast; photo above 64 pixels.")
@click.option(
    "--search", multiple=True, metavar="KEY=LOW..HIGH", callback=parse_settings,
    help="Range of a searched key, or KEY=A,B,C for a choice of values. The option can be repeated.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=parse_settings,
    help="Set a recipe key. The key is then not searched, except with --search. The option can be repeated.",
)  # fmt: skip
@with_reading_options
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs of each training.")
@click.option("--seed", type=click.IntRange(min=0), help="Random seed of the proposals and of the trainings.")
@click.option("--out", metavar="DIR", help="Directory of the study. Default: tunings/<data>-<recipe>-<n>.")
@with_cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    data: str,
    trials: int | None,
    minutes: float | None,
    recipe: str | None,
    search: dict[str, str],
    settings: dict[str, Any],
    epochs: int | None,
    seed: int | None,
    out: str | None,
    reading: ReadingOptions,
    cluster: ClusterOptions | None,
    as_json: bool,
) -> None:
    """Search for better settings of a recipe on DATA and compare them with the unchanged recipe.

    The trials are compared on validation images. Then the best settings and the unchanged recipe are trained with
    three other seeds each and compared on the test split. The command writes tuning.html.

    After an interrupt, the same command with --out DIR resumes the study. Several processes with the same --out DIR
    share one study. With --ray the trainings run on the machines of a Ray cluster, with a shared --out.
    """
    began = time.monotonic()
    if (trials is None) == (minutes is None):
        raise click.UsageError("Give either --trials or --minutes.")
    if cluster is not None:
        require_out(out)
        from saccade.cluster.connection import require_response

        require_response(cluster.address)
    from saccade.recipes import get_recipe
    from saccade.recipes.search_space import search_space

    settings = settings if seed is None else settings | {"seed": seed}
    searched: dict[str, Any] = dict.fromkeys(settings) | search
    # A wrong recipe, key or range is an error before any slow import.
    search_space(get_recipe(recipe or "quick").with_settings(settings), searched)

    from saccade.data.default_recipe import default_recipe_of
    from saccade.data.load import load_for_recipe

    loading = get_recipe(recipe or "quick").with_settings(settings)
    dataset = load_for_recipe(data, loading, reading=reading, progress=True)
    print_dataset(dataset)

    from saccade.training.train import resolve_recipe
    from saccade.tuning.tune import Budget, tune_with

    # The time of loading counts toward the budget.
    budget = Budget(trials, None if minutes is None else began + 60 * minutes)
    base = resolve_recipe(recipe or default_recipe_of(dataset), epochs, settings)
    with _trainings(cluster, dataset, out, trials) as trainings:
        tuning = tune_with(trainings, dataset, base, searched, budget, out=out, progress=True)
    if as_json:
        print_json(tuning.to_dict())
    else:
        _print(tuning)
    if tuning.state == "interrupted":
        print_line(f"to resume: repeat the command with --out {shlex.quote(str(tuning.folder))}", err=True)
        raise SystemExit(130)


@contextmanager
def _trainings(
    cluster: ClusterOptions | None, dataset: Dataset, out: str | None, trials: int | None
) -> Iterator[Trainings | None]:
    """Yield the trainings on a cluster; None for trainings in this process."""
    if cluster is None or out is None:
        yield None
        return
    from saccade.cluster.trainings import SharedFiles, training_tasks

    files = SharedFiles(dataset, [], Path(os.path.abspath(out)))  # noqa: PTH100 - keeps symbolic links
    with training_tasks(cluster, files, trials) as tasks:
        yield tasks


def _print(tuning: Tuning) -> None:
    print_notes(tuning.notes)
    best, pruned = tuning.best, sum(trial.state == "pruned" for trial in tuning.trials)
    print_line(
        f"{counted(len(tuning.trials), 'trial')} of {tuning.recipe.name} on {tuning.data_name}, {pruned} of them pruned"
    )
    if best is not None:
        first = tuning.trials[0].accuracy
        unchanged = "" if first is None else f"; the unchanged recipe: {first:.2%}"
        images = f"{tuning.num_validation_images:,} validation images"
        print_line(f"best on the {images}: trial {best.number}, {best.accuracy:.2%}{unchanged}")
    if tuning.comparison is not None:
        pair = tuning.comparison.pairs[0]
        print_line(f"three other seeds of each on the {tuning.comparison.n:,} test images:")
        print_line(f"  {tuning.summary}")
        print_line(f"  p = {pair.result.p:.2g} for other seeds and images")
    else:
        print_line(tuning.summary)
    if best is not None and best.number:
        print_line(f"to train with the best settings: {tuning.command}")
    print_line(f"written: {', '.join(str(path) for path in tuning.files[:1])}")
