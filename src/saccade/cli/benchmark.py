"""`saccade benchmark`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from saccade.deploy.benchmark import FormatBenchmark


@click.command("benchmark")
@click.argument("run", type=click.Path())
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="Measure only this format. The option can be repeated. Default: all formats.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(run: str, formats: tuple[str, ...], as_json: bool) -> None:
    """Measure RUN in every export format: size, accuracy, speed, memory and cold start.

    The command exports RUN to each format and opens each export in a separate process. It measures on the validation
    images that RUN stores, which are decoded beforehand. The exports are deleted afterward.
    """
    from saccade.runs.run import Run

    opened = Run.open(run)

    from saccade.deploy.benchmark import benchmark
    from saccade.deploy.formats import FORMATS

    found, failed = benchmark(opened, formats or tuple(FORMATS), progress=True)
    if as_json:
        print_json({"formats": [dataclasses.asdict(result) for result in found], "failed": failed})
    else:
        _print(found)
        for form, reason in failed.items():
            print_line(f"not measured: {form}: {reason}", err=True)
    if failed:
        raise SystemExit(1)


def _print(found: list[FormatBenchmark]) -> None:
    header = (
        "format",
        "MB",
        "accuracy",
        "95% interval",
        "one image, ms",
        "images/s",
        "first prediction, s",
        "memory, MB",
    )
    print_table(header, [_row(result) for result in found])


def _row(result: FormatBenchmark) -> tuple[str, ...]:
    accuracy = interval = "-"
    if result.num_correct is not None:
        from saccade.evaluation.metrics import wilson_interval

        low, high = wilson_interval(result.num_correct, result.num_images)
        accuracy, interval = f"{result.num_correct / result.num_images:.1%}", f"{low:.1%} to {high:.1%}"
    return (
        result.format,
        f"{result.size_bytes / 1e6:.1f}",
        accuracy,
        interval,
        f"{result.latency_ms:.2f}",
        f"{result.images_per_second:,.0f}",
        f"{result.cold_start_seconds:.2f}",
        f"{result.memory_mb:,.0f}",
    )
