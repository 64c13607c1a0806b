"""Test accuracy on photographs at equal wall-clock time: `saccade train DATA --minutes N` and four peers, on the CPU.

    python benchmarks/photo_peers.py FOLDER --work WORK [--set NAME ...] [--minutes N ...] [--method NAME ...]
        [--seeds N] [--environments FOLDER] [--table]

FOLDER holds the sets clothing, coins, brain_mri and sign_digits. All methods have the same training, validation and
test images, the same ImageNet weights of EfficientNet-Lite0 (a peer first shows that it recognizes two photographs),
the same processor, and the same budget from the start of the process: imports, decoding and choosing the number of
epochs count, the prediction of the test images does not. clothing and coins, which have a test split, are measured with
two seeds at 1 and 5 minutes; the others at 1 minute with five random fifths as test split, near-duplicates on one side.

- `saccade`: the default command from an empty cache. It makes its own validation split where the data has none.
- `timm`, `fastai`, `keras`, `linear`: the programs in `peers/`; their docstrings name their settings. fastai
  validates on the validation split or on 20% of the training images; the others train on both splits. They stop where
  the next step would exceed the budget, and the model of that moment predicts.

What makes the peers faster than they are as installed: PyTorch has the memory layout "channels last" (about 1.5 times
as fast in training), and Keras does not compile with XLA (its default is about 15 times slower on a frozen base). The
memory allocator of all peers keeps freed memory (`peer_environments.ALLOCATOR`), since PyTorch's performance tuning
guide recommends an allocator that does: features were computed twice as fast, and training was 1.5 times as fast.

Each peer has an environment of its own, made where it is missing: `python -m venv`, then `pip install` of the pinned
releases in `PEERS`. The Python Package Index serves PyTorch for Linux with CUDA, which computes on the CPU as well; the
user's pip settings, such as PIP_FIND_LINKS, can name a place with the much smaller wheels for CPUs.

WORK keeps one file per training, with its predictions and versions. The same command goes on where another was killed.
`--table` prints what is there. Once all methods have all trials of a set and a budget, the results are printed and
saved. A difference is that of the accuracies on the same images, see `peer_records.paired_difference`. The gate: on
each set and budget, Saccade less the best peer is at least -0.5 points and not significantly negative.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sklearn.datasets
from peer_environments import command_of, make_environment
from peer_records import Record, Task, paired_difference
from peer_weights import write_weights
from photo_trials import TrialData, predicted_probabilities, prepare_trial
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.atomic_io import write_json
from saccade.errors import SaccadeError
from saccade.runs.environment import read_environment


@dataclass(frozen=True)
class Peer:
    """A program in the folder `peers`, and the packages of its environment."""

    program: str
    packages: tuple[str, ...]


_TIMM = ("torch==2.13.0", "torchvision==0.28.0", "timm==1.0.31")
PEERS = {
    "timm": Peer("timm_loop.py", _TIMM),
    "fastai": Peer("fastai_learner.py", (*_TIMM, "fastai==2.8.12")),
    "keras": Peer("keras_guide.py", ("tensorflow-cpu==2.21.0", "keras==3.15.1")),
    "linear": Peer("linear_head.py", (*_TIMM, "scikit-learn==1.9.1")),
}
METHODS = ("saccade", *PEERS)
BUDGETS = {"clothing": (1.0, 5.0), "coins": (1.0, 5.0), "brain_mri": (1.0,), "sign_digits": (1.0,)}
TRIALS = {"clothing": 2, "coins": 2, "brain_mri": 5, "sign_digits": 5}
GATE = -0.005
"""Smallest difference to the best peer, as a fraction."""

Cell = tuple[str, float]
"""Name of a set, and budget in minutes."""


def main() -> None:
    """Run the missing trainings, print the table, and save the results of each completed set and budget."""
    options = _read_options()
    cells = [
        (name, minutes) for name in options.set or BUDGETS for minutes in options.minutes or BUDGETS[name]
    ]  # fmt: skip
    if not options.table:
        (options.work / "weights").mkdir(parents=True, exist_ok=True)
        write_weights(options.work / "weights")
        for cell in cells:
            run_cell(cell, options)
    print(table(options.work, cells))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares Saccade with its peers on photographs at equal time.")
    parser.add_argument("data", metavar="FOLDER", type=Path, help="folder of the sets")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the finished trainings")
    parser.add_argument(
        "--environments", type=Path, default=Path(tempfile.gettempdir()) / "peers-env", help="folder of environments"
    )
    parser.add_argument("--set", nargs="+", choices=BUDGETS, help="sets to measure; default: all")
    parser.add_argument("--minutes", nargs="+", type=float, help="time budgets; default: those of the set")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=METHODS, help="default: all")
    parser.add_argument("--seeds", type=at_least_one, help="number of seeds or draws; default: that of the set")
    parser.add_argument("--table", action="store_true", help="only print the table of the finished trainings")
    add_results_option(parser)
    options: argparse.Namespace = parser.parse_args()
    for name in ("data", "work", "environments"):
        setattr(options, name, getattr(options, name).resolve())
    return options


def run_cell(cell: Cell, options: argparse.Namespace) -> None:
    """Run the missing trainings of a set and a budget; save the results if this completes them."""
    name, minutes = cell
    tasks = [
        Task(name, minutes, method, number)
        for number in range(min(options.seeds or TRIALS[name], TRIALS[name]))
        for method in options.method
    ]
    missing = [task for task in tasks if Record.read(task.path(options.work)) is None]
    for task in missing:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SACCADE_CACHE"] = f"{folder}/cache-of-draw"
            data = prepare_trial(options.data / name, task.number, Path(folder))
            os.environ["SACCADE_CACHE"] = f"{folder}/cache"
            train = _train_saccade if task.method == "saccade" else _train_peer
            record = train(task, data, Path(folder), options)
        record.write(task.path(options.work))
        accuracy, seconds = record.correct.mean(), record.seconds
        print(f"{task}: accuracy {accuracy:.2%}, trained in {seconds:.1f} s, {record.notes}", flush=True)
    records = complete_records(options.work, cell)
    if missing and records is not None:
        keep_results("photo_peers", list(_results(cell, records)), options.results)


def _train_saccade(task: Task, data: TrialData, folder: Path, _options: argparse.Namespace) -> Record:
    run = folder / "run"
    budget, seed = ("--minutes", f"{task.minutes:g}"), ("--seed", str(data.seed))
    done = timed([*SACCADE, "train", str(data.folder), *budget, *seed, "--out", str(run), "--json"])
    probabilities = predicted_probabilities(run, data)
    report = json.loads(done.output)
    return _record(data, done.seconds, probabilities, {"recipe": report["recipe"], "epochs": report["epochs"]})


def _train_peer(task: Task, data: TrialData, folder: Path, options: argparse.Namespace) -> Record:
    peer = PEERS[task.method]
    python = make_environment(options.environments / task.method, peer.packages)
    photographs = Path(sklearn.datasets.__file__).parent / "images"
    job, result = folder / "job.json", folder / "result.json"
    contents = {
        "data": str(data.folder),
        "weights": str(options.work / "weights"),
        "photographs": [str(photographs / name) for name in ("china.jpg", "flower.jpg")],
        "seconds": 60 * task.minutes,
        "seed": task.number,
        "result": str(result),
        "began": time.monotonic(),
    }
    write_json(job, contents)
    done = timed(command_of(python, peer.program, job))
    print(done.output, end="")
    predicted = json.loads(result.read_text(encoding="utf-8"))
    if predicted["class_names"] != list(data.class_names):
        raise SaccadeError(
            f"the peer '{task.method}' has other classes", expected=str(data.class_names),
            found=str(predicted["class_names"]),
        )  # fmt: skip
    probabilities = dict(zip(predicted["names"], predicted["probabilities"], strict=True))
    return _record(data, predicted["seconds"], probabilities, predicted["notes"], predicted["packages"])


def _record(
    data: TrialData,
    seconds: float,
    probabilities: dict[str, list[float]],
    notes: dict[str, Any],
    packages: dict[str, str] | None = None,
) -> Record:
    """Make a record, and require predictions for exactly the test images."""
    if set(probabilities) != set(data.test_groups):
        raise SaccadeError(
            "there must be one prediction for each test image",
            expected=f"{len(data.test_groups)} images",
            found=f"{len(probabilities)} predictions, {len(set(probabilities) & set(data.test_groups))} of test images",
        )
    environment = read_environment()
    return Record(
        seconds=seconds,
        class_names=data.class_names,
        names=tuple(data.test_groups),
        groups=tuple(data.test_groups.values()),
        probabilities=tuple(tuple(probabilities[name]) for name in data.test_groups),
        processor=environment.processor,
        notes=notes,
        packages=dict(environment.packages) if packages is None else packages,
    )


def complete_records(work: Path, cell: Cell) -> dict[str, list[Record]] | None:
    """Return the records of each method, one for each trial; None if one is missing."""
    records = {method: finished_records(work, cell, method) for method in METHODS}
    return records if all(len(own) == TRIALS[cell[0]] for own in records.values()) else None


def finished_records(work: Path, cell: Cell, method: str) -> list[Record]:
    """Return the records that a method has of the trials on a set and a budget."""
    found = [Record.read(Task(*cell, method, number).path(work)) for number in range(TRIALS[cell[0]])]
    return [record for record in found if record is not None]


def best_peer(records: dict[str, list[Record]]) -> str:
    """Return the peer with the highest mean accuracy."""
    return max(PEERS, key=lambda peer: mean_accuracy(records[peer]))


def mean_accuracy(records: Sequence[Record]) -> float:
    """Return the mean of the accuracies of the trials, 0 to 1."""
    return statistics.mean(float(record.correct.mean()) for record in records)


def _results(cell: Cell, records: dict[str, list[Record]]) -> Iterator[Result]:
    subject = f"{cell[0]}, {cell[1]:g} min"
    for method, own in records.items():
        name = f"{subject}, {method}"
        yield Result(name, "accuracy", "fraction", [float(record.correct.mean()) for record in own])
        yield Result(name, "log-loss", "nats", [record.log_loss for record in own])
        yield Result(name, "training", "s", [record.seconds for record in own])
    for peer in PEERS:
        pairs = list(zip(records[peer], records["saccade"], strict=True))
        found = paired_difference(*map(list, zip(*pairs, strict=True)))
        differences = [float(own.correct.mean() - other.correct.mean()) for other, own in pairs]
        note = found.note
        note += ", the best peer" if peer == best_peer(records) else ""
        yield Result(f"{subject}, saccade less {peer}", "accuracy", "fraction", differences, note)


def table(work: Path, cells: Sequence[Cell]) -> str:
    """Return a Markdown table of the finished trainings: accuracies, and the difference to the best peer."""
    columns = ("data", *METHODS, "best peer", "difference in points", "gate")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [
        f"| {name}, {minutes:g} min | {' | '.join(_table_row(work, (name, minutes)))} |" for name, minutes in cells
    ]
    return "\n".join(lines)


def _table_row(work: Path, cell: Cell) -> Iterator[str]:
    for method in METHODS:
        own = finished_records(work, cell, method)
        seconds = ", ".join(f"{record.seconds:.0f}" for record in own)
        yield f"{mean_accuracy(own):.1%} (n = {len(own)}; {seconds} s)" if own else ""
    records = complete_records(work, cell)
    if records is None:
        yield from ("", "", "incomplete")
        return
    peer = best_peer(records)
    found = paired_difference(records[peer], records["saccade"])
    yield peer
    yield f"{100 * found.difference:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    yield "passed" if found.difference >= GATE and found.high >= 0 else "failed"


if __name__ == "__main__":
    run_program(main)
