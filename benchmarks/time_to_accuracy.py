"""Accuracy and training time of a recipe over several seeds, also in epochs of the tutorial script.

    python benchmarks/time_to_accuracy.py DATA --recipe fast [--seeds 5] [--set KEY=VALUE ...] [--test]
        [--measure-tutorial | --tutorial-epoch SECONDS]
    python benchmarks/time_to_accuracy.py --plot-only RUN [RUN ...]
    python benchmarks/time_to_accuracy.py DATA --against airbench94_muon.py --work WORK [--peer-epochs 2 4 8]
        [--seeds 5]

Runs `saccade train` once for each seed, one after another, and measures the wall-clock time and the peak memory of the
whole command. With `--test` the test split is scored at the end, once for each run. A final measurement can train on
all training images: `--test --set validation_split=0`. `--measure-tutorial` first times three plain epochs of
`tutorial_script.py`, so that both are measured on the same machine at nearly the same time. The runs stay in `runs/`.

The validation accuracy over seconds is plotted to docs/time-to-accuracy.png. `--plot-only` plots existing runs and does
nothing else.

`--against` compares `saccade train --minutes` with airbench94_muon, whose file the user gives, at equal time; DATA is
a copy of CIFAR-10 in class folders, and WORK keeps the finished trainings. See `against_airbench.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from against_airbench import Comparison, compare
from curves import curve_of, plot_curves
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results
from trainings import Training, train
from tutorial import run_tutorial, write_arrays

from saccade.runs.run import Run

PLOT = Path(__file__).resolve().parent.parent / "docs" / "time-to-accuracy.png"
TUTORIAL_EPOCHS = 3


def main() -> None:
    """Train and measure, or plot."""
    options = read_options()
    if options.plot_only:
        plot([Run.open(path) for path in options.plot_only], options.plot)
        return
    if options.against:
        against = Comparison(options.data, options.against, options.work, tuple(options.peer_epochs), options.seeds)
        keep_results("time_to_accuracy", compare(against), options.results)
        return
    tutorial = tutorial_epochs(options.data) if options.measure_tutorial else []
    trainings = []
    for seed in range(options.seeds):
        trainings.append(train(options.data, recipe=options.recipe, seed=seed, settings=options.settings))
        print(line_of(trainings[-1]), flush=True)
    note = " ".join(options.settings)
    results = results_of(options.recipe, trainings, note=note)
    results += beside_tutorial(options.recipe, trainings, tutorial, options.tutorial_epoch)
    keep_results("time_to_accuracy", results, options.results)
    runs = [training.run for training in trainings]
    if any(curve_of(run) for run in runs):
        plot(runs, options.plot)
    if options.test:
        tested = [scored_on_test(run) for run in runs]
        result = Result(f"saccade {options.recipe}", "test accuracy", "fraction", tested, note)
        keep_results("time_to_accuracy", [result], options.results)


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measures the accuracy and the time of a recipe over several seeds.")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name, a folder or an archive")
    parser.add_argument("--recipe", help="see `saccade recipes`")
    parser.add_argument("--seeds", type=at_least_one, default=5, help="number of trainings; seeds count from 0")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--test", action="store_true", help="score the test split at the end, once for each run")
    tutorial = parser.add_mutually_exclusive_group()
    tutorial.add_argument("--measure-tutorial", action="store_true", help="time the tutorial script first")
    tutorial.add_argument(
        "--tutorial-epoch", type=float, metavar="SECONDS", help="seconds of an epoch of the tutorial script"
    )
    parser.add_argument("--against", type=Path, metavar="PATH", help="compare with this airbench94_muon.py and end")
    parser.add_argument("--work", type=Path, help="--against: folder that keeps the finished trainings")
    parser.add_argument(
        "--peer-epochs", type=at_least_one, nargs="+", default=[2, 4, 8], help="--against: epochs of the peer"
    )
    parser.add_argument("--plot-only", nargs="+", metavar="RUN", help="plot these runs and do nothing else")
    parser.add_argument("--plot", type=Path, default=PLOT, metavar="PNG", help="path of the plot")
    add_results_option(parser)
    options = parser.parse_args()
    if options.against and not (options.data and options.work):
        parser.error("--against needs DATA and --work")
    if not options.plot_only and not options.against and not (options.data and options.recipe):
        parser.error("DATA and --recipe are required, or --plot-only with runs")
    return options


def tutorial_epochs(data: str) -> list[float]:
    """Measure the seconds of the first plain epochs of the tutorial script."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        write_arrays(data, arrays, seed=0)
        epochs = run_tutorial(arrays, plain_epochs=TUTORIAL_EPOCHS, augmented_epochs=0, seed=0)
    return [epoch.seconds for epoch in epochs]


def scored_on_test(run: Run) -> float:
    """Return and print the accuracy on the test split, by the command line."""
    accuracy: float = json.loads(timed([*SACCADE, "evaluate", str(run.path), "--json"]).output)["accuracy"]
    print(f"seed {run.recipe.seed}: test accuracy {accuracy:.2%}, {run.path}", flush=True)
    return accuracy


def line_of(training: Training) -> str:
    """Format a training."""
    accuracy = training.validation_accuracy
    validated = "without validation" if accuracy is None else f"validation accuracy {accuracy:.2%}"
    cost = f"{training.seconds:.0f} s, {training.peak_memory_mb:,.0f} MB"
    return f"seed {training.run.recipe.seed}: {validated}, {cost}, {training.run.path}"


def results_of(recipe: str, trainings: Sequence[Training], *, note: str) -> list[Result]:
    """Return accuracy, time and memory of the trainings of a recipe, with a note for each row."""
    subject = f"saccade {recipe}"
    validated = [found for training in trainings if (found := training.validation_accuracy) is not None]
    results = [
        Result(subject, "validation accuracy", "fraction", validated, note),
        Result(subject, "whole command", "s", [training.seconds for training in trainings], note),
        Result(subject, "peak memory", "MB", [training.peak_memory_mb for training in trainings], note),
    ]
    return [result for result in results if result.values]


def beside_tutorial(
    recipe: str, trainings: Sequence[Training], measured: Sequence[float], given: float | None
) -> list[Result]:
    """Return whole commands in epochs of the tutorial, by the mean of measured epochs or by a given time."""
    if not measured and given is None:
        return []
    epoch = given if given is not None else statistics.mean(measured)
    ratios = [training.seconds / epoch for training in trainings]
    note = "" if given is None else f"an epoch of the tutorial taken as {given:g} s"
    ratio = Result(f"saccade {recipe} / tutorial", "whole command / plain epoch", "ratio", ratios, note)
    return [*([Result("tutorial", "plain epoch", "s", measured)] if measured else []), ratio]


def plot(runs: Sequence[Run], path: Path) -> None:
    """Plot the runs and print the path."""
    plot_curves(runs, path)
    print(f"plotted: {path}")


if __name__ == "__main__":
    run_program(main)
