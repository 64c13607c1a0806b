"""`saccade benchmark`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_table
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.deploy.benchmark import FormatBenchmark
    from saccade.training.machine_benchmark import MachineBenchmark, MachineRow

_BUSY = 0.3  # load of each core from which the measurements are those of a busy machine


@click.command("benchmark")
@click.argument("run", type=click.Path(), required=False)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="Measure only this format. The option can be repeated. Default: all formats.",
)
@click.option("--machine", is_flag=True, help="Measure this machine instead of a run: training, features, threads.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(run: str | None, formats: tuple[str, ...], machine: bool, as_json: bool) -> None:
    """Measure RUN in every export format: size, accuracy, speed, memory and cold start.

    The command exports RUN to each format and opens each export in a separate process. It measures on the validation
    images that RUN stores, which are decoded beforehand. The exports are deleted afterward.

    With --machine the command measures this machine: training steps and features, with one thread and with all cores.
    """
    if machine:
        if run is not None or formats:
            raise click.UsageError("--machine measures no run: omit RUN and --format.")
        _measure_machine(as_json=as_json)
        return
    if run is None:
        raise click.UsageError("Missing argument 'RUN', or --machine.")

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


def _measure_machine(*, as_json: bool) -> None:
    from saccade.training.machine_benchmark import benchmark_machine

    found = benchmark_machine(progress=True)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_machine(found)


def _print_machine(found: MachineBenchmark) -> None:
    environment = found.environment
    print_line(
        f"{environment.processor}, {counted(environment.cores, 'core')}, {environment.memory_mb / 1000:.0f} GB of "
        f"memory; {environment.system}, Python {environment.python}"
    )
    print_line(", ".join(f"{name} {version}" for name, version in environment.packages.items()))
    print_line(f"trainings use: {found.kernels}, {environment.compute_dtype}")
    if found.load is not None and found.load > _BUSY * environment.cores:
        print_line(f"note: other programs use this machine (load {found.load:.1f}): alone, it is faster", err=True)
    threads = sorted({number for row in found.rows for number in row.rates})
    header = ("work", "unit", "library", *(counted(number, "thread") for number in threads), "ratio")
    print_table(header, [_machine_row(row, threads) for row in found.rows])


def _machine_row(row: MachineRow, threads: list[int]) -> tuple[str, ...]:
    rates = [row.rates.get(number) for number in threads]
    ratio = f"{rates[-1] / rates[0]:.2f}" if rates[0] and rates[-1] else "-"
    return (row.work, row.unit, row.library, *("-" if rate is None else f"{rate:,.4g}" for rate in rates), ratio)


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
        from saccade.evaluation.wilson_interval import wilson_interval

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
