"""`saccade benchmark`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from saccade.deploy.benchmark import FormatFigures


@click.command("benchmark")
@click.argument("run", type=click.Path())
@click.option("--format", "formats", multiple=True, metavar="FORMAT", help="Only this one; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(run: str, formats: tuple[str, ...], as_json: bool) -> None:
    """Export RUN to every format and measure each: size, accuracy, speed, memory, start.

    Each is opened in a process of its own, as its user will open it. Nothing is kept. The pictures are the run's kept
    validation pictures, decoded beforehand.
    """
    from saccade.runs.run import Run

    opened = Run.open(run)

    from saccade.deploy.benchmark import benchmark
    from saccade.deploy.formats import FORMATS

    found, failed = benchmark(opened, formats or tuple(FORMATS), progress=True)
    if as_json:
        print_json({"formats": [dataclasses.asdict(figures) for figures in found], "failed": failed})
    else:
        _print(found)
        for form, reason in failed.items():
            say(f"not measured: {form}: {reason}", err=True)
    if failed:
        raise SystemExit(1)


def _print(found: list[FormatFigures]) -> None:
    header = (
        "format",
        "MB",
        "accuracy",
        "95% interval",
        "one picture, ms",
        "pictures/s",
        "first answer, s",
        "memory, MB",
    )
    print_table(header, [_row(figures) for figures in found])


def _row(figures: FormatFigures) -> tuple[str, ...]:
    accuracy = interval = "-"
    if figures.right is not None:
        from saccade.evaluation.metrics import wilson_interval

        low, high = wilson_interval(figures.right, figures.pictures)
        accuracy, interval = f"{figures.right / figures.pictures:.1%}", f"{low:.1%} to {high:.1%}"
    return (
        figures.format,
        f"{figures.size_bytes / 1e6:.1f}",
        accuracy,
        interval,
        f"{figures.one_picture_ms:.2f}",
        f"{figures.pictures_per_second:,.0f}",
        f"{figures.cold_start_seconds:.2f}",
        f"{figures.memory_mb:,.0f}",
    )
