"""Time of an epoch with the tutorial script and with Saccade, with equal network, data, splits and phases.

    python benchmarks/tutorial_speed.py DATA [--epochs-per-phase 2] [--seeds 1]

Runs for each seed, one after another, `tutorial_script.py` and `saccade train DATA --recipe two-phase`. For the first
seed it also runs the script without tf.data's autotuning, and with the kernels of oneDNN, which TensorFlow does not
choose by itself on a processor without AVX-512; both change the time only. It prints the seconds of an
epoch in each phase, validation included, their ratios, and the validation accuracies after each phase. The runs stay in
`runs/`.

Two epochs per phase are enough for the ratios. To compare accuracies, use the length of the recipe and three seeds:
`--epochs-per-phase 10 --seeds 3`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results
from trainings import Epoch, epochs_of, train
from tutorial import run_tutorial, write_arrays

SACCADE = "saccade two-phase"
# Subject -> changes of the script's run.
TUTORIALS: dict[str, dict[str, bool]] = {
    "tutorial": {},
    "tutorial without autotuning": {"autotune": False},
    "tutorial with oneDNN": {"onednn": True},
}
PHASES = ("plain", "augmented")

# Epochs of each seed, by subject.
Measured = dict[str, list[list[Epoch]]]


def main() -> None:
    """Run all three for each seed, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares the epochs of the tutorial's own script with Saccade's.")
    parser.add_argument("data", metavar="DATA", help="a name, a folder or an archive, as for `saccade train`")
    parser.add_argument("--epochs-per-phase", type=at_least_one, default=2)
    parser.add_argument("--seeds", type=at_least_one, default=1, help="number of trainings of each; seeds count from 0")
    add_results_option(parser)
    options = parser.parse_args()
    measured: Measured = {subject: [] for subject in (*TUTORIALS, SACCADE)}
    for seed in range(options.seeds):
        for subject, epochs in measure(options.data, options.epochs_per_phase, seed).items():
            measured[subject].append(epochs)
            print(line_of(subject, seed, epochs), flush=True)
    results = [*seconds_of(measured), *ratios_of(measured), *accuracies_of(measured)]
    keep_results("tutorial_speed", results, options.results)


def measure(data: str, epochs: int, seed: int) -> dict[str, list[Epoch]]:
    """Train each subject, one after another, and return the epochs."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        write_arrays(data, arrays, seed=seed)
        measured = {
            subject: run_tutorial(arrays, plain_epochs=epochs, augmented_epochs=epochs, seed=seed, **changes)
            for subject, changes in TUTORIALS.items()
            if not changes or seed == 0
        }
    settings = [f"{phase}_epochs={epochs}" for phase in PHASES]
    return measured | {SACCADE: epochs_of(train(data, recipe="two-phase", seed=seed, settings=settings).run)}


def line_of(subject: str, seed: int, epochs: Sequence[Epoch]) -> str:
    """Format the epochs of a training."""
    each = (f"{epoch.phase} {epoch.seconds:.1f} s {epoch.validation_accuracy}" for epoch in epochs)
    return f"seed {seed}, {subject}: {'; '.join(each)}"


def seconds_of(measured: Measured) -> list[Result]:
    """Return the seconds of all epochs of all seeds."""
    return [
        Result(subject, f"{phase} epoch", "s", [time for epochs in of_seeds for time in _seconds(epochs, phase)])
        for phase in PHASES
        for subject, of_seeds in measured.items()
    ]


def ratios_of(measured: Measured) -> list[Result]:
    """Return for each seed the ratio of the median epoch of Saccade to that of the tutorial."""
    return [
        Result(
            f"{SACCADE} / {tutorial}",
            f"{phase} epoch",
            "ratio",
            [
                statistics.median(_seconds(ours, phase)) / statistics.median(_seconds(theirs, phase))
                # The changed scripts are timed for the first seed only.
                for ours, theirs in zip(measured[SACCADE], measured[tutorial], strict=False)
            ],
        )
        for phase in PHASES
        for tutorial in TUTORIALS
    ]


def accuracies_of(measured: Measured) -> list[Result]:
    """Return the validation accuracy after the last epoch of each phase, for each seed."""
    return [
        Result(subject, f"validation accuracy after the {phase} phase", "fraction", accuracies)
        for phase in PHASES
        for subject, of_seeds in measured.items()
        if (accuracies := [found for epochs in of_seeds if (found := _last_accuracy(epochs, phase)) is not None])
    ]


def _seconds(epochs: Sequence[Epoch], phase: str) -> list[float]:
    return [epoch.seconds for epoch in epochs if epoch.phase == phase]


def _last_accuracy(epochs: Sequence[Epoch], phase: str) -> float | None:
    last = next(epoch for epoch in reversed(epochs) if epoch.phase == phase)
    return last.validation_accuracy


if __name__ == "__main__":
    run_program(main)
