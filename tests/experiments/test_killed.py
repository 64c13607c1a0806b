"""Cross-validation and learning curve after repeated kills: the same files as without a kill."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

KILLS = 4
FOLDS = ["train", "--folds", "3"]
CURVE = ["learning-curve", "--sizes", "40,48,56,64", "--repeats", "2"]
COMMON = ["--recipe", "folder", "--epochs", "2", "--seed", "3"]
EVERY_STEP = ["--set", "checkpoint_seconds=0", "--set", "batch_size=16"]


def command(words, folder, out):
    return [sys.executable, "-m", "saccade", words[0], str(folder), *words[1:], *COMMON, *EVERY_STEP, "--out", str(out)]


def killed(arguments, started, wait):
    """Run a command and kill it shortly after a number of its progress lines."""
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        started -= line.startswith(("epoch", "training"))
        if not started:
            time.sleep(wait)
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stderr.close()
    return process.wait() == -signal.SIGKILL


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("words", "files"),
    [(FOLDS, ["weights.safetensors", "folds.json", "calibration.json", "predictions-validation.safetensors"]),
     (CURVE, ["40-1.safetensors", "64-2.safetensors"])],
    ids=["folds", "curve"],
)  # fmt: skip
def test_kills_at_random_moments_do_not_change_the_result(words, files, tiny_folder, tmp_path):
    draw = random.Random(0)
    whole, out = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(words, tiny_folder, whole), check=True, capture_output=True)
    kills = sum(
        killed(command(words, tiny_folder, out), 1 + draw.randrange(3), draw.uniform(0, 0.5)) for _ in range(KILLS)
    )
    assert kills >= 2
    subprocess.run(command(words, tiny_folder, out), check=True, capture_output=True)
    assert [(out / name).read_bytes() for name in files] == [(whole / name).read_bytes() for name in files]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
    left = {path.name for path in out.iterdir()} ^ {path.name for path in whole.iterdir()}
    assert not left
