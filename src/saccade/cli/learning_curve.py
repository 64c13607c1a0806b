"""`saccade learning-curve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line, print_table
from saccade.cli.reading_options import with_reading_options
from saccade.cli.train_options import checked_settings, load_dataset_and_recipe, parse_settings, pretrained_model
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.experiments.learning_curve_result import LearningCurve


def _sizes(_context: click.Context, _parameter: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    sizes = [size.strip() for size in value.split(",")]
    if not all(size.isdecimal() for size in sizes):
        raise click.BadParameter(f"'{value}' is not a list of numbers such as 100,200,400,800")
    return [int(size) for size in sizes]


@click.command("learning-curve")
@click.argument("data")
@click.option("--recipe", metavar="NAME", help="Recipe (see saccade recipes). Default: fast; photo above 64 pixels.")
@click.option("--from", "source", metavar="SOURCE", help="Start from pretrained weights (see saccade train).")
@click.option("--weights", metavar="FILE", help="With --from NAME: file of pretrained weights, instead of a download.")
@click.option(
    "--sizes", metavar="N,N,...", callback=_sizes,
    help="Numbers of training images, at least four. Default: six, from 1/32 of the images to all of them.",
)  # fmt: skip
@click.option(
    "--repeats", type=click.IntRange(min=2), default=3, show_default=True,
    help="Trainings of each size. Sizes up to 1/4 of the largest size get twice as many.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs of each training.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the image subsets and of all trainings.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=parse_settings,
    help="Set a recipe key. The option can be repeated.",
)
@with_reading_options
@click.option("--fixes", metavar="FILE", help="Drop and relabel images by this fixes.csv (see saccade audit).")
@click.option("--out", metavar="DIR", help="Output directory. Default: learning-curves/<data>-<recipe>-<n>.")
@click.option("--json", "as_json", is_flag=True, help="Print the curve as JSON.")
def command(
    sizes: list[int] | None, repeats: int, out: str | None, settings: dict[str, Any], as_json: bool, **options: Any
) -> None:
    """Estimate whether more images than DATA contains would increase the accuracy.

    The command trains on subsets of growing size and fits a power law to the errors. It does not use test images. It
    writes learning_curve.json and learning_curve.png.

    After Ctrl-C or a crash, the same command with --out DIR resumes. With more --repeats or other --sizes it trains
    only the missing networks.
    """
    source = pretrained_model(**options)
    settings = checked_settings(settings, batch_size=None, checkpoint_every=None, **options)
    from saccade.experiments.learning_curve import check_folder, learning_curve

    check_folder(out)
    dataset, recipe = load_dataset_and_recipe(source, settings, strict=False, **options)
    curve = learning_curve(dataset, recipe=recipe, source=source, sizes=sizes, repeats=repeats, out=out)
    if as_json:
        print_json(curve.model_dump())
        return
    _print(curve)


def _print(curve: LearningCurve) -> None:
    images = counted(curve.num_evaluated, "image")
    print_line(f"{curve.data_name}, {curve.recipe.name}: all networks predict the same {images}\n")
    rows = [
        (f"{point.num_images:,}", str(len(point.accuracies)), f"{point.accuracy:.2%}", f"± {100 * point.deviation:.2f}")
        for point in curve.points
    ]
    print_table(("images", "trainings", "accuracy", "over trainings"), rows)
    print_line()
    for more in curve.extrapolations:
        low, high = more.interval
        expected = f"{more.accuracy:.2%} (95% interval {low:.2%} to {high:.2%})"
        print_line(f"with {more.num_images:,} images, {more.times} times as many: {expected}")
    tested = curve.backtest
    low, high = tested.interval
    print_line(
        f"test of the power law: the smaller sizes predict {tested.predicted:.2%} ({low:.2%} to {high:.2%}) for "
        f"{tested.num_images:,}; measured {tested.measured:.2%}, {'within' if tested.within else 'outside'}"
    )
    print_line(f"\n{curve.summary}")
    print_line("\nwritten:")
    for path in curve.files:
        print_line(f"  {path}")
