"""`saccade learning-curve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line, print_table
from saccade.cli.train_options import begun, checked, settings_given, source_given
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.experiments.learning_curve_result import LearningCurve


def _sizes(_context: click.Context, _parameter: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    sizes = [size.strip() for size in value.split(",")]
    if not all(size.isdecimal() for size in sizes):
        raise click.BadParameter(f"'{value}' is no list of numbers such as 100,200,400,800")
    return [int(size) for size in sizes]


@click.command("learning-curve")
@click.argument("data")
@click.option("--recipe", metavar="NAME", help="See `saccade recipes`. Default: fast; folder above 64x64 pixels.")
@click.option("--from", "source", metavar="SOURCE", help="Networks that go on from one that has learned; see train.")
@click.option("--weights", metavar="FILE", help="With --from NAME: its weights, instead of a download.")
@click.option(
    "--sizes", metavar="N,N,...", callback=_sizes,
    help="Numbers of images, at least four. Default: six, from a thirty-second of all to all.",
)  # fmt: skip
@click.option(
    "--repeats", type=click.IntRange(min=2), default=3, show_default=True,
    help="Trainings of each size; sizes of a quarter of the largest and fewer get twice as many.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each training.")
@click.option("--seed", type=click.IntRange(min=0), help="Which images are drawn, and all trainings, follow from it.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=settings_given, help="Change a recipe key."
)
@click.option("--fixes", metavar="FILE", help="Drop and relabel images as this fixes.csv says; see saccade audit.")
@click.option("--out", metavar="DIR", help="The directory to make. Default: learning-curves/<data>-<recipe>-<n>.")
@click.option("--json", "as_json", is_flag=True, help="Print the curve as JSON.")
def command(
    sizes: list[int] | None, repeats: int, out: str | None, settings: dict[str, Any], as_json: bool, **options: Any
) -> None:
    """Tell whether more images than DATA has would help: trainings on fewer of them, and a power law.

    Writes learning_curve.json and learning_curve.png. Test images are not looked at. After Ctrl-C or a crash the same
    command with --out DIR goes on, and with more --repeats or other --sizes it trains only what is missing.
    """
    source = source_given(**options)
    settings = checked(settings, batch_size=None, checkpoint_every=None, **options)
    from saccade.experiments.learning_curve import check_folder, learning_curve

    check_folder(out)
    dataset, recipe = begun(source, settings, strict=False, **options)
    curve = learning_curve(dataset, recipe=recipe, source=source, sizes=sizes, repeats=repeats, out=out)
    if as_json:
        print_json(curve.model_dump())
        return
    _print(curve)


def _print(curve: LearningCurve) -> None:
    asked = counted(curve.num_evaluated, "image")
    print_line(f"{curve.data_name}, {curve.recipe.name}: each network was asked about the same {asked}\n")
    rows = [
        (f"{point.num_images:,}", str(len(point.accuracies)), f"{point.accuracy:.2%}", f"± {100 * point.deviation:.2f}")
        for point in curve.points
    ]
    print_table(("images", "trainings", "accuracy", "over trainings"), rows)
    print_line()
    for more in curve.extrapolations:
        low, high = more.interval
        expected = f"{more.accuracy:.2%} (95% interval {low:.2%} to {high:.2%})"
        print_line(f"with {more.num_images:,}, {more.times} times as many: {expected}")
    tested = curve.backtest
    low, high = tested.interval
    print_line(
        f"test of the law: the smaller sizes predict {tested.predicted:.2%} ({low:.2%} to {high:.2%}) for "
        f"{tested.num_images:,}; measured {tested.measured:.2%}, {'within' if tested.within else 'outside'}"
    )
    print_line(f"\n{curve.summary}")
    print_line("\nwritten:")
    for path in curve.files:
        print_line(f"  {path}")
