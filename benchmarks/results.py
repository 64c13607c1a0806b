"""Results of the benchmarks, saved in `results.csv`, one row per measured quantity."""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from saccade.atomic_io import atomic_write
from saccade.errors import SaccadeError
from saccade.keras_loading import load_keras_quietly
from saccade.runs.environment import read_environment

COLUMNS = (
    *("date_utc", "benchmark", "subject", "quantity", "unit", "n", "median", "lowest", "highest"),
    *("processor", "cores", "saccade", "python", "tensorflow", "keras", "note"),
)
_RESULTS = Path(__file__).with_name("results.csv")


@dataclass(frozen=True)
class Result:
    """A quantity measured n times.

    Attributes:
        subject: measured object, such as "saccade two-phase".
        quantity: measured quantity, such as "plain epoch".
        unit: "s", "images/s", "MB" (10^6 bytes), "ratio" or "fraction" (0 to 1).
        values: n measured values, in the order of measurement.
        note: remarks on the measurement.
    """

    subject: str
    quantity: str
    unit: str
    values: Sequence[float]
    note: str = ""

    @property
    def median(self) -> float:
        """Median of the values."""
        return statistics.median(self.values)

    def line(self) -> str:
        """Format the result: median and range, and for at least three values the mean and its 95% t-interval."""
        values = self.values
        line = f"{self.subject}, {self.quantity}: {self.median:.4g} {self.unit}"
        line += f" ({min(values):.4g} to {max(values):.4g}, n = {len(values)})"
        if len(values) < 3:
            return line
        low, high = self.mean_interval()
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        return f"{line}; mean {mean:.4g} ({low:.4g} to {high:.4g}), standard deviation {deviation:.2g}"

    def mean_interval(self) -> tuple[float, float]:
        """Return the 95% confidence interval of the mean of at least two values, by Student's t-distribution."""
        from scipy.stats import t

        n = len(self.values)
        mean = statistics.mean(self.values)
        half = float(t.ppf(0.975, n - 1)) * statistics.stdev(self.values) / math.sqrt(n)
        return mean - half, mean + half


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--results` to a parser."""
    parser.add_argument("--results", type=Path, default=_RESULTS, help="CSV file to which the results are appended")


def keep_results(benchmark: str, results: Sequence[Result], path: Path) -> None:
    """Print the results, and append one row for each, all or none, with time, machine and versions.

    Args:
        benchmark: name of the program.
        results: measured results.
        path: CSV file with the columns `COLUMNS`; created if missing.

    Raises:
        SaccadeError: the file has other columns.
    """
    for result in results:
        print(result.line())
    before = path.read_text(encoding="utf-8") if path.is_file() else ",".join(COLUMNS) + "\n"
    header = before.partition("\n")[0]
    if header != ",".join(COLUMNS):
        raise SaccadeError(
            f"'{path}' has other columns than the benchmarks write", expected=",".join(COLUMNS), found=header
        )
    rows = io.StringIO()
    machine = _machine()
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for result in results:
        csv.writer(rows, lineterminator="\n").writerow([when, benchmark, *_cells(result), *machine, result.note])
    with atomic_write(path) as temporary:
        temporary.write_text(before + rows.getvalue(), encoding="utf-8")


def _cells(result: Result) -> list[str]:
    numbers = (result.median, min(result.values), max(result.values))
    formatted = [f"{number:.6g}" for number in numbers]
    return [result.subject, result.quantity, result.unit, str(len(result.values)), *formatted]


def _machine() -> list[str]:
    """Return processor, cores, and the versions of Saccade, Python, TensorFlow and Keras."""
    load_keras_quietly()
    environment = read_environment()
    packages = environment.packages
    tensorflow = packages.get("tensorflow") or packages.get("tensorflow-cpu", "")
    cores = str(environment.cores)
    return [environment.processor, cores, environment.saccade, environment.python, tensorflow, packages["keras"]]
