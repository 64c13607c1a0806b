"""Time to read data, compared with another version of Saccade, in pairs.

    python benchmarks/reading.py FOLDER [FOLDER ...] --against SOURCE [--pairs N] [--image-size N]

SOURCE is the folder `src` of another checkout. A pair is one process of each version, in alternating order, that loads
FOLDER from an empty cache (list, read, decode, search near-duplicates) and once more from the cache (list). Prints the
median times, and the mean of the ratio, this version to the other, with its 95% t-interval over the logarithms.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results

import saccade

_PROGRAM = """
import sys, time
import saccade
for kind in ("first", "again"):
    began = time.perf_counter()
    saccade.load(sys.argv[1], image_size=int(sys.argv[2]) or None)
    print(time.perf_counter() - began)
"""


def main() -> None:
    """Time the pairs, print the ratios and save them."""
    parser = argparse.ArgumentParser(description="Compares the time to read data with another version of Saccade.")
    parser.add_argument("data", metavar="FOLDER", nargs="+", type=Path, help="data to load")
    parser.add_argument("--against", metavar="SOURCE", type=Path, required=True, help="folder src of another checkout")
    parser.add_argument("--pairs", type=at_least_one, default=5, help="number of pairs")
    parser.add_argument("--image-size", type=int, default=0, help="side of the decoded images; default: from the data")
    add_results_option(parser)
    options = parser.parse_args()
    own = Path(saccade.__file__).parents[1]
    results = []
    for data in options.data:
        times: dict[Path, list[Sequence[float]]] = {own: [], options.against.resolve(): []}
        for pair in range(options.pairs):
            for source in sorted(times, reverse=bool(pair % 2)):
                times[source].append(seconds_to_load(source, data.resolve(), options.image_size))
        for position, kind in enumerate(("from an empty cache", "from the cache")):
            ours, others = ([each[position] for each in times[source]] for source in times)
            results += [
                Result(f"{data.name}, {kind}", "loading", "s", ours),
                Result(f"{data.name}, {kind}, the other version", "loading", "s", others),
                Result(
                    f"{data.name}, {kind}", "time of this version to the other", "ratio",
                    [own_time / other for own_time, other in zip(ours, others, strict=True)],
                    note=ratio_with_interval(ours, others),
                ),
            ]  # fmt: skip
            print(results[-1].note, flush=True)
    keep_results("reading", results, options.results)


def seconds_to_load(source: Path, data: Path, image_size: int) -> list[float]:
    """Return the seconds of the first and of the second loading by the version in a folder."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPATH": str(source), "SACCADE_CACHE": cache}
        command = [sys.executable, "-c", _PROGRAM, str(data), str(image_size)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [float(line) for line in done.stdout.split()]


def ratio_with_interval(ours: Sequence[float], others: Sequence[float]) -> str:
    """Return the geometric mean of paired ratios with its 95% t-interval, as text."""
    logarithms = [math.log(own / other) for own, other in zip(ours, others, strict=True)]
    if len(logarithms) < 2:
        return f"ratio {math.exp(logarithms[0]):.3f}"
    low, high = Result("", "", "", logarithms).mean_interval()
    return f"ratio {math.exp(statistics.mean(logarithms)):.3f} (95% {math.exp(low):.3f} to {math.exp(high):.3f})"


if __name__ == "__main__":
    run_program(main)
