"""`saccade train --minutes` against `airbench94_muon.py` at equal time: the work of `time_to_accuracy.py --against`.

For each seed and each number of epochs airbench trains first, adapted by `peers/airbench.py`. Its training time, from
the start of its process to the end of its last epoch, is then the budget of `saccade train --minutes`. Both train on
all training images, without validation, and both score the test images once, at the end: airbench by its own six
augmented images, Saccade by `saccade evaluate`. The time for these predictions is in neither budget, and is printed.

The peer gets what makes it fast: the memory layout "channels last" (its own choice), the allocator of
`peer_environments.py`, bfloat16 where the processor has instructions for it, and `torch.compile` if a trial with 6,000
images forecasts a shorter training with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_environments import command_of, make_environment
from peer_records import Record, paired_difference
from processes import SACCADE, timed
from results import Result
from scipy.special import softmax

from saccade.atomic_io import write_json
from saccade.data.dataset import Dataset, Split
from saccade.data.load import load
from saccade.errors import SaccadeError
from saccade.runs.environment import read_environment
from saccade.runs.run import Run
from saccade.tensorflow_kernels import instruction_sets

PACKAGES = ("torch==2.13.0", "numpy==2.4.6")
FULL_EPOCHS = 8
_TRIAL_IMAGES, _TRIAL_EPOCHS = 6_000, 2
_BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Comparison:
    """What to compare.

    Attributes:
        data: path of a copy of CIFAR-10 in class folders.
        program: the file `airbench94_muon.py`.
        work: folder that keeps the finished trainings; a training that is there is not repeated.
        epochs: numbers of epochs of airbench; its own is eight.
        seeds: number of trainings of each; seeds count from 0.
    """

    data: str
    program: Path
    work: Path
    epochs: tuple[int, ...]
    seeds: int


def compare(comparison: Comparison) -> list[Result]:
    """Run the missing trainings, and return the results of all."""
    dataset = load(comparison.data, progress=True)
    peer = _Peer(comparison, dataset)
    pairs: dict[int, list[tuple[Record, Record]]] = {epochs: [] for epochs in comparison.epochs}
    for seed in range(comparison.seeds):
        for epochs in comparison.epochs:
            theirs = peer.record(epochs, seed)
            ours = _saccade_record(comparison, dataset, minutes=theirs.seconds / 60, epochs=epochs, seed=seed)
            pairs[epochs].append((theirs, ours))
            for name, record in (("airbench", theirs), ("saccade", ours)):
                accuracy = record.correct.mean()
                print(f"{epochs} epochs, seed {seed}, {name}: {accuracy:.2%}, {record.seconds:.0f} s, {record.notes}")
    return [result for epochs, records in pairs.items() for result in _results(epochs, records)]


class _Peer:
    """Airbench, with its environment, its arrays and the fastest settings for this processor."""

    def __init__(self, comparison: Comparison, dataset: Dataset) -> None:
        self._comparison, self._dataset = comparison, dataset
        work = comparison.work
        self._python = make_environment(work / "environment", PACKAGES)
        self._dtype = _dtype()
        for name, images in (("arrays", None), ("trial-arrays", _TRIAL_IMAGES)):
            _write_arrays(dataset, work / name / "cifar10", images)

    def record(self, epochs: int, seed: int) -> Record:
        """Return a training of airbench, which is run unless it is kept."""
        path = self._comparison.work / "records" / f"airbench-{epochs}-epochs-{seed}.json"
        kept = Record.read(path)
        if kept is not None:
            return kept
        compiled = self._is_faster_compiled(epochs)
        result = self._run("arrays", epochs=epochs, seed=seed, compiled=compiled)
        ends = [result["started"], *result["epoch_ends"]]
        notes = result["notes"] | {
            "dtype": self._dtype, "torch.compile": compiled, "start": ends[0], "last epoch": ends[-1] - ends[-2],
            "test images": result["end"] - ends[-1],
        }  # fmt: skip
        record = _record(self._dataset, ends[-1], softmax(np.array(result["logits"]), axis=1), notes)
        record.write(path)
        return record

    def _is_faster_compiled(self, epochs: int) -> bool:
        """Return whether a training of all images is forecast to end earlier with `torch.compile`."""
        path = self._comparison.work / "trials.json"
        if not path.exists():
            trials = [
                self._run("trial-arrays", epochs=_TRIAL_EPOCHS, seed=0, compiled=compiled) for compiled in (False, True)
            ]
            write_json(path, [trial["epoch_ends"] for trial in trials])
        growth = len(self._dataset.splits["train"]) / _TRIAL_IMAGES
        # The first epoch contains the start and the compilation; the second one is compared.
        forecasts: list[float] = [
            first + (epochs * growth - 1) * (second - first) for first, second in json.loads(path.read_text())
        ]  # fmt: skip
        eager, compiled = forecasts
        print(f"airbench, {epochs} epochs: forecast {eager:.0f} s, with torch.compile {compiled:.0f} s", flush=True)
        return compiled < eager

    def _run(self, arrays: str, *, epochs: int, seed: int, compiled: bool) -> dict[str, Any]:
        folder = self._comparison.work / "airbench"
        folder.mkdir(exist_ok=True)
        job = {
            "program": str(self._comparison.program.resolve()),
            "data": str((self._comparison.work / arrays).resolve()),
            "result": str((folder / "result.json").resolve()),
            "dtype": self._dtype, "compiled": compiled, "epochs": epochs, "seed": seed, "began": time.monotonic(),
        }  # fmt: skip
        write_json(folder / "job.json", job)
        timed(command_of(self._python, "airbench.py", folder / "job.json"))
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return result


def _saccade_record(comparison: Comparison, dataset: Dataset, *, minutes: float, epochs: int, seed: int) -> Record:
    """Return a training of Saccade with a time budget, which is run unless it is kept."""
    path = comparison.work / "records" / f"saccade-{epochs}-epochs-{seed}.json"
    kept = Record.read(path)
    if kept is not None:
        return kept
    out = comparison.work / "runs" / f"{epochs}-epochs-{seed}"
    options = ["--minutes", f"{minutes:.3f}", "--seed", str(seed), "--set", "validation_split=0", "--out", str(out)]
    trained = timed([*SACCADE, "train", comparison.data, *options, "--json"])
    evaluated = timed([*SACCADE, "evaluate", str(out), "--json"])
    run = Run.open(out)
    predictions = run.predictions("predictions.safetensors")
    test = dataset.splits["test"]
    if [bytes(each).hex() for each in predictions.hashes] != list(test.hashes):
        raise SaccadeError("the run predicted other test images than those of the data", remedy=f"remove '{out}'")
    notes = {"recipe": run.recipe.name, "epochs": len(run.history()), "evaluate": evaluated.seconds}
    record = _record(dataset, trained.seconds, predictions.probabilities, notes)
    record.write(path)
    return record


def _results(epochs: int, pairs: Sequence[tuple[Record, Record]]) -> list[Result]:
    theirs, ours = map(list, zip(*pairs, strict=True))
    found = paired_difference(theirs, ours)
    subject = f"time of airbench with {epochs} of {FULL_EPOCHS} epochs"
    note = ", ".join(f"{name} {value}" for name, value in theirs[0].notes.items() if not isinstance(value, float))
    differences = [float(own.correct.mean() - other.correct.mean()) for other, own in pairs]
    return [
        Result(f"{subject}, airbench", "test accuracy", "fraction", [float(r.correct.mean()) for r in theirs], note),
        Result(f"{subject}, airbench", "training", "s", [record.seconds for record in theirs], note),
        Result(f"{subject}, airbench", "test images", "s", [record.notes["test images"] for record in theirs]),
        Result(f"{subject}, saccade", "test accuracy", "fraction", [float(r.correct.mean()) for r in ours]),
        Result(f"{subject}, saccade", "training", "s", [record.seconds for record in ours]),
        Result(f"{subject}, saccade", "evaluate", "s", [record.notes["evaluate"] for record in ours]),
        Result(f"{subject}, saccade less airbench", "test accuracy", "fraction", differences, found.note),
    ]


def _record(dataset: Dataset, seconds: float, probabilities: NDArray[np.floating], notes: dict[str, Any]) -> Record:
    test = dataset.splits["test"]
    # A record takes the class of an image from the folder in its name.
    folders = [dataset.class_names[label] for label in test.labels]
    names = [f"{folder}/{Path(name).name}" for folder, name in zip(folders, test.names, strict=True)]
    environment = read_environment()
    return Record(
        seconds=seconds,
        class_names=dataset.class_names,
        names=tuple(names),
        groups=tuple(test.duplicate_groups.tolist()),
        probabilities=tuple(map(tuple, probabilities.astype(float).tolist())),
        processor=environment.processor,
        notes=notes,
        packages=dict(environment.packages),
    )


def _dtype() -> str:
    """Return "bfloat16" where the processor has instructions for it, and "float32" elsewhere."""
    return "bfloat16" if _BFLOAT16_INSTRUCTIONS & instruction_sets() else "float32"


def _write_arrays(dataset: Dataset, folder: Path, images: int | None) -> None:
    """Write train.npz and test.npz: images, uint8 [n, 32, 32, 3], and labels, int64 [n]; `images` of each, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "test"):
        split: Split = dataset.splits[name]
        if not (folder / f"{name}.npz").exists():
            if images is not None:
                split = split.subset(np.random.default_rng(0).permutation(len(split))[:images])
            np.savez(folder / f"{name}.npz", images=split.take(slice(None)), labels=split.labels)
