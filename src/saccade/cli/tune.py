"""`saccade tune`."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.train_options import announce, settings_given
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.tuning.result import Tuning


@click.command("tune")
@click.argument("data")
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Trials that the study shall have in all.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), metavar="N",
    help="How long this command may take, the trainings at the end included.",
)  # fmt: skip
@click.option("--recipe", metavar="NAME", help="What to tune. Default: fast; folder above 64x64 pixels.")
@click.option(
    "--search", multiple=True, metavar="KEY=LOW..HIGH", callback=settings_given,
    help="Search this key between these numbers, or KEY=A,B,C among these values.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=settings_given,
    help="Change a recipe key; without --search for it too it is not tuned.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each training.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the trials and of what they try.")
@click.option("--out", metavar="DIR", help="The study's directory. Default: tunings/<data>-<recipe>-<n>.")
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
    as_json: bool,
) -> None:
    """Search better settings for a recipe on DATA, and see whether they are better.

    Trials are compared on validation images. Then the best settings and the recipe as it is are trained over three
    other seeds each and compared on the test split. Writes tuning.html.

    A study that was killed goes on by the same command with the same --out; run twice at once, two processes share it.
    """
    began = time.monotonic()
    if (trials is None) == (minutes is None):
        raise click.UsageError("Give either --trials or --minutes.")
    from saccade.recipes import default_recipe_name, get_recipe
    from saccade.recipes.search_space import search_space

    settings = settings if seed is None else settings | {"seed": seed}
    wanted: dict[str, Any] = dict.fromkeys(settings) | search
    # A wrong recipe, key or range is refused at once, before anything heavy is loaded.
    search_space(get_recipe(recipe or "quick").with_settings(settings), wanted)

    from saccade.data.load import load

    image_size = get_recipe(recipe or "quick").with_settings(settings).image_size
    dataset = load(data, image_size=image_size, progress=True)
    announce(dataset)

    from saccade.training.train import resolve_recipe
    from saccade.tuning.tune import tune

    # Loading has taken its part of them.
    left = None if minutes is None else max(minutes - (time.monotonic() - began) / 60, 1e-3)
    name = recipe or default_recipe_name(dataset.preprocessing.height, dataset.preprocessing.width)
    found = tune(
        dataset, trials=trials, minutes=left, recipe=resolve_recipe(name, epochs, settings), search=wanted, out=out
    )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    if found.state == "interrupted":
        print_line(f"to go on with it: the same command with --out {shlex.quote(str(found.folder))}", err=True)
        raise SystemExit(130)


def _print(found: Tuning) -> None:
    print_notes(found.notes)
    best, pruned = found.best, sum(trial.state == "pruned" for trial in found.trials)
    print_line(
        f"{counted(len(found.trials), 'trial')} of {found.recipe.name} on {found.data_name}, {pruned} of them pruned"
    )
    if best is not None:
        first = found.trials[0].accuracy
        as_it_is = "" if first is None else f"; the recipe as it is: {first:.2%}"
        images = f"{found.num_validation_images:,} validation images"
        print_line(f"best on the {images}: trial {best.number}, {best.accuracy:.2%}{as_it_is}")
    if found.comparison is not None:
        pair = found.comparison.pairs[0]
        print_line(f"three other seeds of each on the {found.comparison.n:,} test images:")
        print_line(f"  {found.summary}")
        print_line(f"  p = {pair.result.p:.2g} for other seeds and images")
    else:
        print_line(found.summary)
    if best is not None and best.number:
        print_line(f"to train with the best settings: {found.command}")
    print_line(f"written: {', '.join(str(path) for path in found.files[:1])}")
