"""Rate of a training by several workers, relative to one process with one thread: `saccade train --ray --workers N`.

    python benchmarks/parallel_training.py DATA [--workers 2] [--repeats 5] [--recipe fast] [--set KEY=VALUE ...]

In turn one process with one thread and N workers with one thread each, on this machine, train for some epochs. The rate
is that of the epochs after the first one, without validation being left out: images of all workers in a second. The
first epoch has the start of the helpers and the compilation of the step. The seconds of the exchange, as `timings.csv`
has them, are given for each step. Ray's own processes share the cores; more workers than cores measure nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.runs.run import Run


def main() -> None:
    """Measure, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares a training by several workers with one process.")
    parser.add_argument("data", metavar="DATA", help="a name, or the path of a folder, as for `saccade train`")
    parser.add_argument("--workers", type=at_least_one, default=2, help="number of workers")
    parser.add_argument("--repeats", type=at_least_one, default=5, help="number of pairs of trainings")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--epochs", type=at_least_one, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    add_results_option(parser)
    options = parser.parse_args()
    words = [
        *SACCADE, "train", options.data, "--recipe", options.recipe, "--epochs", str(options.epochs),
        *(f"--set={setting}" for setting in options.settings),
    ]  # fmt: skip
    alone: list[Run] = []
    shared: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            alone.append(_trained(words, Path(folder) / f"alone-{repeat}", {"SACCADE_THREADS": "1"}))
            on_ray = ["--workers", str(options.workers), "--ray"]
            shared.append(_trained([*words, *on_ray], Path(folder) / f"shared-{repeat}", {}))
        results = _results(f"{Path(options.data).name}, {options.recipe}", alone, shared, options.workers)
    keep_results("parallel_training", results, options.results)


def _trained(words: Sequence[str], out: Path, environment: Mapping[str, str]) -> Run:
    """Train, and return the run."""
    place = words.index("train") + 2
    timed([*words[:place], "--out", str(out), *words[place:]], os.environ | environment)
    return Run.open(out)


def _results(subject: str, alone: Sequence[Run], shared: Sequence[Run], workers: int) -> list[Result]:
    batch = alone[0].recipe.batch_size_for(alone[0].data.num_images["train"])
    what = f"batches of {batch}, epochs after the first"
    rates = {
        number: [statistics.mean(timing.images_per_second for timing in run.timings()[1:]) for run in runs]
        for number, runs in ((1, alone), (workers, shared))
    }
    exchanged = [
        sum(timing.exchange_seconds for timing in run.timings()[1:]) / sum(record.steps for record in run.history()[1:])
        for run in shared
    ]
    ratios = [many / one for one, many in zip(rates[1], rates[workers], strict=True)]
    return [
        Result(subject, f"1 process, {what}", "images/s", rates[1]),
        Result(subject, f"{workers} workers, {what}", "images/s", rates[workers]),
        Result(subject, f"exchange and waiting of {workers} workers, each step", "s", exchanged),
        Result(f"{subject}, {workers} workers / 1 process", what, "ratio", ratios),
    ]


if __name__ == "__main__":
    run_program(main)
