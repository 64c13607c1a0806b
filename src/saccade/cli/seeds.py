"""Output of `saccade train --seeds`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from saccade.cli.output import print_json, print_line
from saccade.cli.training_result import OPTIMISTIC, training_result
from saccade.sanitize import command_line, counted
from saccade.training.interrupt import TrainingInterrupt

if TYPE_CHECKING:
    from saccade.training.seeds import SeedTraining


def print_series(trainings: Iterable[SeedTraining], seeds: int, out: str | None, *, as_json: bool) -> None:
    """Print each training when it ends, then the mean and the standard deviation of the accuracies.

    Args:
        trainings: trainings in the order in which they end.
        seeds: number of trainings of the command.
        out: directory of the runs; None if the runs are numbered.
        as_json: print one JSON document at the end instead of lines.

    Raises:
        SystemExit: code 130 after an interrupt, 1 after a failed training.
        TrainingInterrupt: Ctrl-C ended a training that has saved no weights.
    """
    ended = []
    try:
        for training in trainings:
            ended.append(training)
            print_line(_line(training), err=as_json)
    except TrainingInterrupt as interrupt:
        again = "repeat the command" if out is not None else command_line("train", "--resume", interrupt.run)
        print_line(f"to resume: {again}", err=True)
        raise
    results = [training_result(training.run) for training in ended if training.run is not None]
    whole = [result for result in results if result["state"] != "interrupted"]
    if as_json:
        print_json(_summary(ended, results, whole))
    else:
        _conclude(whole)
    interrupted = len(whole) < len(results)
    if interrupted or len(whole) < seeds:
        _print_how_to_resume(ended, out)
        raise SystemExit(130 if interrupted else 1)


def _line(training: SeedTraining) -> str:
    if training.run is None:
        return f"seed {training.seed}: failed: {training.error}"
    result = training_result(training.run)
    accuracy = result["validation_accuracy"]
    validated = "no validation split" if accuracy is None else f"validation accuracy {accuracy:.2%}"
    stopped = {"finished": "", "stopped early": ", stopped early", "interrupted": ", interrupted"}[result["state"]]
    there = " (already trained)" if training.was_there else ""
    return f"seed {training.seed}: {validated}{stopped}, {training.run.path}{there}"


def _spread(whole: Sequence[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Return the mean and the standard deviation of the validation accuracies; None if there are too few."""
    accuracies = [result["validation_accuracy"] for result in whole if result["validation_accuracy"] is not None]
    mean = statistics.fmean(accuracies) if accuracies else None
    return mean, statistics.stdev(accuracies) if len(accuracies) > 1 else None


def _summary(
    ended: Sequence[SeedTraining], results: list[dict[str, Any]], whole: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    mean, deviation = _spread(whole)
    failed = [{"seed": each.seed, "error": str(each.error)} for each in ended if each.run is None]
    return {
        "n": len(whole),
        "validation_accuracy": mean,
        "deviation": deviation,
        "runs": results,
        "failed": failed,
    }


def _conclude(whole: Sequence[dict[str, Any]]) -> None:
    mean, deviation = _spread(whole)
    if mean is not None:
        spread = "" if deviation is None else f" ± {100 * deviation:.2f} points (standard deviation)"
        images = whole[0]["num_validation_images"]
        print_line(
            f"validation accuracy {mean:.2%}{spread}, n = {counted(len(whole), 'seed')}, each on "
            f"{counted(images, 'image')}; the test split was not used"
        )
        if whole[0]["weights_chosen_by_validation"]:
            print_line(f"these accuracies are {OPTIMISTIC}")
    if whole:
        print_line(f"next: {command_line('compare', *(result['run'] for result in whole), 'OTHER-RUN')}")


def _print_how_to_resume(ended: Sequence[SeedTraining], out: str | None) -> None:
    if out is not None:
        print_line("to train the missing runs: repeat the command", err=True)
    for training in ended:
        if out is None and training.run is not None and training.run.status().state == "interrupted":
            print_line(f"to resume: {command_line('train', '--resume', training.run.path)}", err=True)
