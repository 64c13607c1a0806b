"""Trials of `saccade tune` on a Ray cluster of two nodes on this machine: `make test-ray`."""

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.cluster.ray_cluster import wait_until

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.ray

_PROCESS = "saccade.cluster.training_process"
_OPTIONS = [
    "--recipe", "folder", "--epochs", "2", "--set", "image_size=32", "--set", "validation_split=0.3", "--set",
    "learning_rate=1e-7", "--search", "learning_rate=0.0005..0.01",
]  # fmt: skip


@pytest.fixture(scope="module")
def tune(tiny_folder, cluster):
    """Return a function that starts `saccade tune`, on the cluster or on one core of this machine."""

    def start(out, trials, *, on_cluster=True):
        words = ["tune", str(tiny_folder), *_OPTIONS, "--trials", str(trials), "--out", str(out), "--json"]
        return subprocess.Popen(
            [sys.executable, "-m", "saccade", *words, *([f"--ray={cluster.address}"] if on_cluster else [])],
            env=os.environ | ({} if on_cluster else {"SACCADE_THREADS": "1"}),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def finished(running):
    stdout, stderr = running.communicate()
    assert running.returncode == 0, stderr
    assert "Traceback" not in stderr
    return json.loads(stdout)


def test_trials_have_the_accuracies_of_the_plain_command(tune, tmp_path):
    """The settings of the second trial do not depend on the result of the first one: Optuna begins at random."""
    plain = finished(tune(tmp_path / "plain", 2, on_cluster=False))
    found = finished(tune(tmp_path / "cluster", 2))
    assert found["state"] == plain["state"] == "finished"
    for trial, other in zip(found["trials"], plain["trials"], strict=True):
        assert trial["settings"] == other["settings"]
        assert trial["accuracy"] == other["accuracy"]
        assert trial["curve"] == other["curve"]
    assert found["comparison"]["n"] == plain["comparison"]["n"]
    assert found["verdict"] == plain["verdict"]


def test_a_study_goes_on_after_ctrl_c_and_after_a_kill(tune, cluster, tmp_path):
    out = tmp_path / "study"
    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        running = tune(out, 2)
        wait_until(lambda running=running: running.poll() is not None or cluster.processes(_PROCESS))
        assert running.poll() is None
        running.send_signal(how)
        _, stderr = running.communicate()
        assert running.returncode == code, stderr
        assert "Traceback" not in stderr
        wait_until(lambda: not cluster.processes(_PROCESS))
    result = finished(tune(out, 2))
    assert [trial["number"] for trial in result["trials"]] == [0, 1]
    assert result["state"] == "finished"
