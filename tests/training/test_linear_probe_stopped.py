"""Stopped and killed trainings of the recipe `linear-probe`: resumed to the same bytes."""

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.snippets import run_here

from saccade.data.cache.disk_cache import clear_cache

PROGRAM = Path(__file__).with_name("killable_photo.py")
# The 54 or so training images and their mirror images have at least 20 batches, and the first three penalties 15 fits.
_BATCHES, _FITS = 6, 15


def typed(*words):
    """Run a command line of Saccade in this process, and return its outcome."""
    return run_here([str(word) for word in words], Path.cwd())


def sent(where, number, name, *words):
    """Run a command line in a process that gets a signal, and return exit code and stderr."""
    command = [sys.executable, PROGRAM, where, str(number), name, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def bytes_of(run):
    return [(run / name).read_bytes() for name in ("weights.safetensors", "history.csv", "calibration.json")]


@pytest.fixture(scope="module")
def whole(photographs, tmp_path_factory):
    """A run without a stop."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert typed("train", photographs, "--recipe", "linear-probe", "--out", out).code == 0
    return out


@pytest.fixture(scope="module")
def stopped(photographs, whole, tmp_path_factory):
    """A run that Ctrl-C stopped while it computed features, and the terminal output."""
    clear_cache("features")
    out = tmp_path_factory.mktemp("stopped") / "run"
    return out, *sent("features", 3, "SIGINT", "train", photographs, "--recipe", "linear-probe", "--out", out)


@pytest.mark.long
def test_ctrl_c_in_the_features_ends_the_training_and_names_the_command_to_resume(stopped):
    out, code, shown = stopped
    assert code == 130, shown
    assert "stopping; the features that are computed so far are kept" in shown
    assert f"to resume: saccade train --resume {out}\n" in shown
    assert "Traceback" not in shown
    assert "head:" not in shown
    evaluated = typed("evaluate", out)
    assert evaluated.code == 1
    assert "has no weights" in evaluated.stderr
    features = [entry for entry in typed("cache", "--json").json["entries"] if entry["kind"] == "features"]
    assert {entry["name"] for entry in features} == {"photographs"}


@pytest.mark.long
def test_a_training_killed_in_the_features_and_in_the_head_is_resumed_to_the_same_bytes(stopped, whole, tmp_path):
    """The features are removed from the cache after each kill."""
    out = Path(shutil.copytree(stopped[0], tmp_path / "run"))
    for where, number in (("features", 4), ("head", 7)):
        code, shown = sent(where, number, "SIGKILL", "train", "--resume", out)
        assert code == -signal.SIGKILL, shown
        clear_cache("features")
    resumed = typed("train", "--resume", out)
    assert resumed.code == 0, resumed.stderr
    assert bytes_of(out) == bytes_of(whole)


@pytest.mark.long
def test_other_features_are_an_error_unless_forced(stopped, whole, tmp_path):
    out = Path(shutil.copytree(stopped[0], tmp_path / "run"))
    record = json.loads((whole / "features.json").read_text()) | {"fingerprint": "0" * 64}
    (out / "features.json").write_text(json.dumps(record))
    failed = typed("train", "--resume", out)
    assert failed.code == 1
    assert "the features of the images differ" in failed.stderr
    assert f"found: {json.loads((whole / 'features.json').read_text())['fingerprint'][:16]}" in failed.stderr
    assert "--force" in failed.stderr
    forced = typed("train", "--resume", out, "--force")
    assert forced.code == 0, forced.stderr
    assert bytes_of(out) == bytes_of(whole)


@pytest.mark.nightly
def test_a_training_killed_before_its_first_checkpoint_starts_from_the_weights_of_the_package(stopped, whole, tmp_path):
    out = Path(shutil.copytree(stopped[0], tmp_path / "run"))
    shutil.rmtree(out / "checkpoints")
    resumed = typed("train", "--resume", out)
    assert resumed.code == 0, resumed.stderr
    assert "there is no checkpoint yet" in resumed.stderr
    assert bytes_of(out) == bytes_of(whole)


@pytest.mark.nightly
@pytest.mark.parametrize(("where", "numbers"), [("features", _BATCHES), ("head", _FITS)])
def test_ten_kills_in_the_features_and_ten_in_the_head_lose_nothing(photographs, whole, tmp_path, where, numbers):
    """The features are removed from the cache before every other process."""
    draw, out = random.Random(where), tmp_path / "run"
    for kill in range(10):
        if kill % 2 == 0:
            clear_cache("features")
        words = ("--resume", out) if out.exists() else (photographs, "--recipe", "linear-probe", "--out", out)
        code, shown = sent(where, draw.randint(1, numbers), "SIGKILL", "train", *words)
        assert code == -signal.SIGKILL, shown
    assert typed("train", "--resume", out).code == 0
    assert bytes_of(out) == bytes_of(whole)
