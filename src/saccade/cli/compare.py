"""`saccade compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_notes, print_table
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.data.dataset import SplitName
    from saccade.evaluation.compare.comparison import Comparison, Pair, RunGroup

_MAX_PAIRS = 30


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN RUN...")
@click.option("--data", metavar="DATA", help="Other data with the same classes. Default: the data of each RUN.")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True,
    help="Split to compare the runs on.",
)  # fmt: skip
@click.option("--out", metavar="DIR", help="Output directory. Default: comparisons/<n>.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def command(runs: tuple[str, ...], data: str | None, split: SplitName, out: str | None, as_json: bool) -> None:
    """Compare runs on the same images and decide for each pair whether one is better.

    Runs that differ only in their seed form one group, with mean and spread. Runs without an evaluation are evaluated
    first. The command writes comparison.json, comparison.png and differences.png, which shows the images for which the
    first two groups predict different classes.
    """
    if len(runs) < 2:
        raise click.UsageError("Name at least two runs.")
    from saccade.runs.run import Run

    opened = [Run.open(run) for run in runs]

    from saccade.evaluation.compare.compare import compare

    comparison = compare(opened, data=data, split=split, out=out, progress=True)
    if as_json:
        print_json(comparison.to_dict())
        return
    print_notes(comparison.notes)
    print_line(
        f"{comparison.data_name}, {comparison.split} split: {counted(comparison.n, 'image')} predicted by all runs\n"
    )
    header = ("", "runs", "accuracy", "95% interval", "over seeds", "minutes", "weights")
    print_table(header, [_row(group) for group in comparison.groups])
    _print_pairs(comparison)
    first, second = comparison.groups[:2]
    images = counted(len(comparison.disagreements), "image")
    print_line(f"\n{first.name} and {second.name} predict different classes for {images}")
    print_line("\nwritten:")
    for path in comparison.files:
        print_line(f"  {path}")


def _row(group: RunGroup) -> tuple[str, ...]:
    low, high = group.accuracy_interval
    deviation = group.deviation
    return (
        group.name,
        str(len(group.runs)),
        f"{group.accuracy:.2%}",
        f"{low:.2%} to {high:.2%}",
        "" if deviation is None else f"± {100 * deviation:.2f}",
        f"{group.minutes:.1f}",
        f"{group.weights:,}",
    )


def _print_pairs(comparison: Comparison) -> None:
    pairs = comparison.pairs
    if len(pairs) > _MAX_PAIRS:
        distinguishable = [pair for pair in pairs if pair.verdict != "not distinguishable"]
        print_line(
            f"\n{len(distinguishable)} of {len(pairs)} pairs are distinguishable; comparison.json lists all pairs"
        )
        pairs = tuple(distinguishable[:_MAX_PAIRS])
    for pair in pairs:
        _print_pair(pair, of=len(comparison.pairs))


def _print_pair(pair: Pair, *, of: int) -> None:
    result = pair.result
    print_line(f"\n{pair.summary}")
    if pair.remark:
        print_line(f"  {pair.remark}")
    adjusted = f", for {of} pairs p = {pair.adjusted_p:.2g}" if of > 1 else ""
    print_line(f"  other seeds and images: p = {result.p:.2g}{adjusted}; {_spread(pair)}")
    low, high = pair.of_better(result.images_interval)
    models = "" if result.models_p is None else f"p = {result.models_p:.2g} (McNemar, exact), "
    print_line(f"  these models, other images: {models}{100 * low:+.2f} to {100 * high:+.2f} points (bootstrap)")
    if result.first_only is not None and result.second_only is not None:
        second = counted(result.second_only, "image")
        print_line(f"  only one is correct: {pair.first} on {result.first_only:,}, {pair.second} on {second}")


def _spread(pair: Pair) -> str:
    first, second = (f"{100 * spread:.2f}" for spread in pair.result.seed_spreads)
    if not pair.result.measured:
        return f"assumed spread over seeds {first} points"
    return f"spread over seeds beyond chance {first} and {second} points"
