"""`tutorial_script.py` in a new process, with the training and validation splits of Saccade."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from processes import timed
from trainings import Epoch

from saccade.data.load import load
from saccade.data.splits import splits_of
from saccade.recipes import get_recipe
from saccade.tensorflow_kernels import VALUES, VARIABLE

_SCRIPT = Path(__file__).with_name("tutorial_script.py")


def write_arrays(data: str, path: Path, *, seed: int) -> None:
    """Write the input of the script: the splits of the data that `saccade train` uses for a seed.

    Args:
        data: name or path of the data.
        path: path of the .npz file.
        seed: seed of the validation split.
    """
    splits = splits_of(load(data, progress=True), validation_split=get_recipe("two-phase").validation_split, seed=seed)
    training, validation = splits["train"], splits["validation"]
    np.savez(
        path,
        x_train=training.take(slice(None)),
        y_train=training.labels,
        x_validation=validation.take(slice(None)),
        y_validation=validation.labels,
    )


def run_tutorial(
    arrays: Path, *, plain_epochs: int, augmented_epochs: int, seed: int, autotune: bool = True, onednn: bool = False
) -> list[Epoch]:
    """Run the training script of the tutorial.

    Args:
        arrays: file from `write_arrays`.
        plain_epochs: number of epochs of the first phase.
        augmented_epochs: number of epochs of the second phase.
        seed: seed of weights, order and augmentation.
        autotune: whether tf.data's autotuning is on, the default of Keras.
        onednn: whether TensorFlow is asked for the kernels of oneDNN. Otherwise it chooses by itself, as it does for a
            reader of the tutorial; Saccade asks for them.

    Raises:
        SaccadeError: the script failed.
    """
    command = [sys.executable, str(_SCRIPT), str(arrays), "--seed", str(seed)]
    command += ["--plain-epochs", str(plain_epochs), "--augmented-epochs", str(augmented_epochs)]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if onednn:
        environment[VARIABLE] = VALUES["oneDNN"]
    lines = timed(command if autotune else [*command, "--no-autotune"], environment).output.splitlines()
    epochs = [json.loads(line) for line in lines]
    return [Epoch(epoch["phase"], epoch["seconds"], epoch["validation_accuracy"]) for epoch in epochs]
