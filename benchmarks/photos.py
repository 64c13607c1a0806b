"""Test accuracy, time and trustworthiness of the default command on photographs, with several seeds or draws.

    python benchmarks/photos.py FOLDER --work WORK [--set NAME ...] [--trials 5] [--minutes N] [--table]

FOLDER holds the sets clothing, coins, brain_mri and sign_digits. Each trial is a whole `saccade train DATA` from an
empty cache, then `saccade evaluate`, `saccade predict --ood` and `--abstain`, and `saccade export --format litert-int8`
with `saccade evaluate` of the file. For data with a test split of its own, trials differ in the seed. For other data,
each trial draws its own test split: a random fifth of the images, near-duplicates on one side.

WORK keeps one file per trial, and the same command goes on where another was killed. The results are printed and saved
once all trials of a set are there; with `--table` those of the finished trials are only printed.

- `accepted`: fraction of images with an OOD p-value of at least 0.05, among the test images, and among 200 random
  images of each of the other sets.
- `accuracy at 0.95`: pooled over the trials, the correct ones among the predictions for test images that `--abstain
  0.95` does not abstain; its coverage is 0 in a trial whose validation images support no threshold.
- `difference of int8`: accuracy of the exported file less that of the run, on the pooled test images.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from photo_trials import TrialData, prepare_trial
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.atomic_io import write_json
from saccade.errors import SaccadeError
from saccade.runs.ood_p_value import OOD_THRESHOLD

SETS = ("coins", "clothing", "brain_mri", "sign_digits")
TARGET_ACCURACY = 0.95
_OTHER_IMAGES = 200
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_NO_THRESHOLD = "no confidence threshold reaches the target accuracy"


@dataclass(frozen=True)
class Trial:
    """A training by the default command, scored on the test split.

    Attributes:
        images: number of test images.
        seconds: wall-clock time of the whole training command.
        peak_memory_mb: maximum resident set size, in megabytes (10^6 bytes).
        accuracy: accuracy on the test split, 0 to 1.
        log_loss: log-loss on the test split, in nats.
        calibration_error: expected calibration error on the test split.
        accepted: fraction of images that the OOD detector accepts: of the test images, "test", and of each other set.
        predicted: number of test images that `--abstain` does not abstain.
        correct: number of correct predictions among these.
        int8_accuracy: accuracy of the export in eight bits on the test split.
    """

    images: int
    seconds: float
    peak_memory_mb: float
    accuracy: float
    log_loss: float
    calibration_error: float
    accepted: dict[str, float]
    predicted: int
    correct: int
    int8_accuracy: float


def main() -> None:
    """Run the missing trials, print and save the results."""
    parser = argparse.ArgumentParser(
        description="Accuracy, time and trustworthiness of `saccade train` on photographs."
    )
    parser.add_argument("data", metavar="FOLDER", type=Path, help="folder of the sets")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the finished trials")
    parser.add_argument("--set", nargs="+", choices=SETS, default=SETS, help="default: all")
    parser.add_argument("--trials", type=at_least_one, default=5, help="number of seeds or of draws")
    parser.add_argument("--minutes", type=float, help="time budget of the training; default: none")
    parser.add_argument("--table", action="store_true", help="only print the results of the finished trials")
    add_results_option(parser)
    options = parser.parse_args()
    command = "default" if options.minutes is None else f"--minutes {options.minutes:g}"
    for name in options.set:
        trials = []
        for number in range(options.trials):
            record = options.work / command.replace(" ", "") / f"{name}-{number}.json"
            if not record.is_file() and not options.table:
                record.parent.mkdir(parents=True, exist_ok=True)
                write_json(record, asdict(_trial(options.data.resolve(), name, number, options.minutes)))
            if record.is_file():
                trials.append(Trial(**json.loads(record.read_text(encoding="utf-8"))))
                print(f"{name} {number}: {trials[-1]}", flush=True)
        results = _results(f"{name}, {command}", trials) if trials else []
        if options.table:
            print(*(result.line() for result in results), sep="\n")
        else:
            keep_results("photos", results, options.results)


def _trial(data: Path, name: str, number: int, minutes: float | None) -> Trial:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["SACCADE_CACHE"] = f"{folder}/cache-of-draw"
        trial = prepare_trial(data / name, number, folder)
        os.environ["SACCADE_CACHE"] = f"{folder}/cache"
        run, budget = f"{folder}/run", [] if minutes is None else ["--minutes", f"{minutes:g}"]
        done = timed([*SACCADE, "train", str(trial.folder), "--seed", str(trial.seed), "--out", run, *budget])
        report = _json("evaluate", run)
        predicted, correct = _with_abstention(run, trial)
        return Trial(
            images=report["n"],
            seconds=done.seconds,
            peak_memory_mb=done.peak_memory_mb,
            accuracy=report["accuracy"],
            log_loss=report["log_loss"],
            calibration_error=report["expected_calibration_error"],
            accepted={"test": _accepted(run, trial.folder / "test")}
            | {other: _accepted(run, _sample(data / other, number, folder)) for other in SETS if other != name},
            predicted=predicted,
            correct=correct,
            int8_accuracy=_int8_accuracy(run, trial.folder / "test", folder / "model.tflite"),
        )


def _json(*words: str) -> Any:
    return json.loads(timed([*SACCADE, *words, "--json"]).output)


def _with_abstention(run: str, trial: TrialData) -> tuple[int, int]:
    """Return the number of predictions without abstentions, and of the correct ones; 0 where there is no threshold."""
    command = [*SACCADE, "predict", run, str(trial.folder / "test"), "--abstain", str(TARGET_ACCURACY), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode and _NO_THRESHOLD in done.stderr:
        return 0, 0
    if done.returncode:
        raise SaccadeError("the predictions failed", found=done.stderr)
    predictions = [each for each in json.loads(done.stdout) if not each["abstained"]]
    return len(predictions), sum(Path(each["name"]).parent.name == each["top"][0]["class_name"] for each in predictions)


def _accepted(run: str, images: Path) -> float:
    p_values = [prediction["ood_p_value"] for prediction in _json("predict", run, str(images), "--ood")]
    return float(np.mean(np.array(p_values) >= OOD_THRESHOLD))


def _sample(source: Path, number: int, folder: Path) -> Path:
    """Copy a random sample of a set's images into a new folder."""
    target = folder / f"sample-{source.name}"
    target.mkdir()
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
    for position in np.random.default_rng(number).permutation(len(paths))[:_OTHER_IMAGES]:
        shutil.copy(paths[position], target / f"{position}{paths[position].suffix}")
    return target


def _int8_accuracy(run: str, test: Path, export: Path) -> float:
    timed([*SACCADE, "export", run, "--format", "litert-int8", "--out", str(export)])
    return float(_json("evaluate", str(export), "--data", str(test))["accuracy"])


def _results(subject: str, trials: Sequence[Trial]) -> list[Result]:
    quantities = {
        "seconds": "s",
        "peak_memory_mb": "MB",
        "accuracy": "fraction",
        "log_loss": "nats",
        "calibration_error": "fraction",
    }
    images = [trial.images for trial in trials]
    note = f"{images[0]:,} test images" if len(set(images)) == 1 else "random fifths"
    results = [
        Result(subject, name.replace("_", " "), unit, [getattr(trial, name) for trial in trials], note)
        for name, unit in quantities.items()
    ]
    for kind in trials[0].accepted:
        values = [trial.accepted[kind] for trial in trials]
        results.append(Result(subject, f"accepted, {kind}", "fraction", values, "OOD p-value of at least 0.05"))
    predicted, correct = sum(trial.predicted for trial in trials), sum(trial.correct for trial in trials)
    coverage = [trial.predicted / trial.images for trial in trials]
    pooled = f"pooled {correct:,} of {predicted:,} correct"
    results.append(Result(subject, "coverage of --abstain 0.95", "fraction", coverage, pooled))
    if predicted:
        results.append(Result(subject, "accuracy at 0.95", "fraction", [correct / predicted], pooled))
    int8 = [trial.int8_accuracy - trial.accuracy for trial in trials]
    mean = float(np.average(int8, weights=images))
    results.append(Result(subject, "difference of int8", "fraction", int8, f"pooled {mean:+.4f}, n = {sum(images):,}"))
    return results


if __name__ == "__main__":
    run_program(main)
