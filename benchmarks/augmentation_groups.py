"""Groups of augmentation in the recipe `photo`: accuracy and log-loss of the default command with each, in pairs.

    python benchmarks/augmentation_groups.py FOLDER --work WORK [--set NAME ...] [--trials 2] [--table]

FOLDER holds the sets of photographs. The test split of a set is not used: in each trial, one half of its other images
tests a training on the other half, near-duplicates on one side. Each setting of `SETTINGS` is a whole `saccade train`
of the same half with the same seed; a difference is that of the accuracies on the same images, see
`peer_records.paired_difference`, less the setting `photo`.

WORK keeps one file per training, and the same command goes on where another was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from peer_records import Record, Task, paired_difference
from photo_trials import TrialData, predicted_probabilities, prepare_half
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.runs.environment import read_environment

SETS = ("coins", "sign_digits", "clothing")
SETTINGS = {
    "photo": (),
    "no geometry": ("crop_scale=1", "horizontal_flip=false"),
    "color": ("color_jitter=0.3",),
    "mixing": ("mixup=0.2",),
}
"""Recipe keys that differ from `photo`, whose own augmentation is geometry: crops and mirror images."""

_SIZE = "image_size=160"  # also for clothing, whose default is 224, to save time


def main() -> None:
    """Run the missing trainings, print the table, and save the results of each completed set."""
    parser = argparse.ArgumentParser(description="Groups of augmentation on photographs.")
    parser.add_argument("data", metavar="FOLDER", type=Path, help="folder of the sets")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the finished trainings")
    parser.add_argument("--set", nargs="+", choices=SETS, default=SETS, help="sets to measure; default: all")
    parser.add_argument("--trials", type=at_least_one, default=2, help="number of halves")
    parser.add_argument("--table", action="store_true", help="only print the table of the finished trainings")
    add_results_option(parser)
    options = parser.parse_args()
    work = options.work.resolve()
    for name in options.set:
        tasks = [Task(name, 0, setting, number) for number in range(options.trials) for setting in SETTINGS]
        missing = [task for task in tasks if Record.read(task.path(work)) is None]
        if missing and not options.table:
            for number in sorted({task.number for task in missing}):
                _run_trial(options.data.resolve() / name, [task for task in missing if task.number == number], work)
            keep_results("augmentation_groups", list(_results(name, options.trials, work)), options.results)
    print(_table(options.set, options.trials, work))


def _run_trial(path: Path, tasks: list[Task], work: Path) -> None:
    """Run the missing trainings of a trial, with one cache: all settings have the same plain images."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SACCADE_CACHE"] = f"{folder}/cache"
        data = prepare_half(path, tasks[0].number, Path(folder))
        for task in tasks:
            record = _train(task, data, Path(folder) / task.method.replace(" ", "-"))
            record.write(task.path(work))
            print(f"{task}: accuracy {record.correct.mean():.2%}, log-loss {record.log_loss:.3f}", flush=True)


def _train(task: Task, data: TrialData, run: Path) -> Record:
    keys = [word for key in (_SIZE, *SETTINGS[task.method]) for word in ("--set", key)]
    command = [*SACCADE, "train", str(data.folder), "--recipe", "photo", *keys]
    done = timed([*command, "--seed", str(task.number), "--out", str(run), "--json"])
    probabilities = predicted_probabilities(run, data)
    environment, report = read_environment(), json.loads(done.output)
    return Record(
        seconds=done.seconds,
        class_names=data.class_names,
        names=tuple(data.test_groups),
        groups=tuple(data.test_groups.values()),
        probabilities=tuple(tuple(probabilities[name]) for name in data.test_groups),
        processor=environment.processor,
        notes={"epochs": report["epochs"]},
        packages=dict(environment.packages),
    )


def _records(name: str, setting: str, trials: int, work: Path) -> list[Record]:
    found = [Record.read(Task(name, 0, setting, number).path(work)) for number in range(trials)]
    return [record for record in found if record is not None]


def _results(name: str, trials: int, work: Path) -> Iterator[Result]:
    base = _records(name, "photo", trials, work)
    for setting in SETTINGS:
        own = _records(name, setting, trials, work)
        accuracies = [float(record.correct.mean()) for record in own]
        found = paired_difference(base, own)
        note = f"less photo: mean {found.difference:+.4f}, 95% {found.low:+.4f} to {found.high:+.4f}"
        yield Result(f"{name}, {setting}", "accuracy", "fraction", accuracies, "" if setting == "photo" else note)
        yield Result(f"{name}, {setting}", "log-loss", "nats", [record.log_loss for record in own])


def _table(sets: tuple[str, ...], trials: int, work: Path) -> str:
    """Return a Markdown table: accuracy and log-loss, and the difference of the accuracy from `photo` in points."""
    lines = ["| set | " + " | ".join(SETTINGS) + " |", "|---" * (len(SETTINGS) + 1) + "|"]
    for name in sets:
        base, cells = _records(name, "photo", trials, work), []
        for setting in SETTINGS:
            own = _records(name, setting, trials, work)
            if not own:
                cells.append("")
                continue
            accuracy = statistics.mean(float(record.correct.mean()) for record in own)
            cell = f"{accuracy:.1%}, {statistics.mean(record.log_loss for record in own):.3f}"
            if setting != "photo" and len(own) == len(base):
                found = paired_difference(base, own)
                cell += f", {100 * found.difference:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
            cells.append(cell)
        n = len(base[0].names) if base else 0
        lines.append(f"| {name}, {len(base)} halves of {n} images | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
