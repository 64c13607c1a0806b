"""Trainings of several seeds and folds on a Ray cluster of two nodes on this machine: `make test-ray`."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.cluster.ray_cluster import LOOPBACK, wait_until

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.ray

_RECIPE = ["--recipe", "folder", "--set", "image_size=32", "--checkpoint-every", "0.001s"]
_SEEDS = ["--seeds", "2", "--epochs", "60"]
_FOLDS = ["--folds", "2", "--epochs", "2"]
_PROCESS = "saccade.cluster.training_process"
# They hold clock times, the peak of the memory, or hashes of such files.
_MEASURED = {"timings.csv", "status.json", "state.json", "manifest.json", "model.keras"}


@pytest.fixture(scope="module")
def train(tiny_folder, cluster):
    """Return a function that starts `saccade train`, on the cluster or on one core of this machine."""

    def start(out, *options, on_cluster=True):
        words = ["train", str(tiny_folder), *_RECIPE, *options, "--out", str(out), "--json"]
        on_one_core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
        return subprocess.Popen(
            [
                *([] if on_cluster else on_one_core), sys.executable, "-m", "saccade", *words,
                *([f"--ray={cluster.address}"] if on_cluster else []),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


@pytest.fixture(scope="module")
def plain(train, tmp_path_factory):
    """Runs of two seeds by the plain command on one core."""
    out = tmp_path_factory.mktemp("plain") / "runs"
    return out, _finished(train(out, *_SEEDS, on_cluster=False))


def test_seeds_give_the_files_and_the_json_of_the_plain_command(plain, train, tmp_path):
    out, shown = plain
    assert _without_paths(_finished(train(tmp_path / "runs", *_SEEDS))) == _without_paths(shown)
    _require_equal(out, tmp_path / "runs")


def test_folds_give_the_files_and_the_json_of_the_plain_command(train, tmp_path):
    # One name, which the ONNX file holds.
    plain, other = tmp_path / "plain/run", tmp_path / "ray/run"
    shown = _finished(train(plain, *_FOLDS, on_cluster=False))
    assert _without_paths(_finished(train(other, *_FOLDS))) == _without_paths(shown)
    _require_equal(plain, other)
    assert list(other.parent.iterdir()) == [other]  # no run-folds is left


def test_after_the_loss_of_a_node_its_training_goes_on_elsewhere(plain, train, cluster, tmp_path):
    cluster.restore()
    running = train(tmp_path / "runs", *_SEEDS)
    _wait_for_epochs(running, tmp_path / "runs", "seed-0", "seed-1")
    cluster.kill_node()
    _finished(running)
    _require_equal(plain[0], tmp_path / "runs")


def test_after_the_kill_of_a_training_the_error_names_the_node_and_the_command_goes_on(plain, train, cluster, tmp_path):
    cluster.restore()
    running = train(tmp_path / "runs", *_SEEDS)
    _wait_for_epochs(running, tmp_path / "runs", "seed-0", "seed-1")
    cluster.processes(_PROCESS)[0].kill()
    stdout, stderr = running.communicate()
    assert running.returncode == 1
    (failed,) = json.loads(stdout)["failed"]
    assert f"the training was ended by SIGKILL on the node {LOOPBACK}" in failed["error"]
    assert "to train the missing runs: repeat the command" in stderr
    assert "Traceback" not in stderr
    _finished(train(tmp_path / "runs", *_SEEDS))
    _require_equal(plain[0], tmp_path / "runs")


def test_after_ctrl_c_no_training_is_left_and_the_plain_command_goes_on(plain, train, cluster, tmp_path):
    cluster.restore()
    running = train(tmp_path / "runs", *_SEEDS)
    _wait_for_epochs(running, tmp_path / "runs", "seed-0", "seed-1")
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate()
    assert running.returncode == 130
    assert "to go on: repeat the command" in stderr
    assert "Traceback" not in stderr
    wait_until(lambda: not cluster.processes(_PROCESS))
    _finished(train(tmp_path / "runs", *_SEEDS, on_cluster=False))
    _require_equal(plain[0], tmp_path / "runs")


def test_a_failed_training_is_its_plain_error_with_the_node(train, tmp_path):
    (tmp_path / "runs/seed-0").mkdir(parents=True)
    (tmp_path / "runs/seed-0/in-the-way").write_text("")
    running = train(tmp_path / "runs", "--seeds", "1", "--epochs", "1")
    stdout, _ = running.communicate()
    assert running.returncode == 1
    (failed,) = json.loads(stdout)["failed"]
    assert failed["error"].startswith(f"on the node {LOOPBACK}")
    assert "exists already; nothing is overwritten" in failed["error"]


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="mount namespaces need root")
def test_a_node_that_does_not_see_the_images_is_named_before_the_work(train, cluster, tiny_folder, tmp_path):
    node = f"{sys.executable} -m tests.cluster.one_node {cluster.address}"
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {tiny_folder} && exec {node}"],
        stdout=subprocess.PIPE, text=True,
    ) as hidden:  # fmt: skip
        try:
            assert hidden.stdout is not None
            assert hidden.stdout.readline().strip() == "up"
            running = train(tmp_path / "runs", *_SEEDS)
            _, stderr = running.communicate()
        finally:
            hidden.terminate()
    assert running.returncode == 1
    assert f"the node {LOOPBACK}" in stderr
    assert "can't see the images" in stderr
    assert not list(tmp_path.iterdir())


def _finished(running):
    stdout, stderr = running.communicate()
    assert running.returncode == 0, stderr
    return json.loads(stdout)


def _wait_for_epochs(running, out, *names):
    """Wait until each run has finished epochs, and none has ended."""
    wait_until(lambda: running.poll() is not None or all((out / name / "history.csv").exists() for name in names))
    assert running.poll() is None
    assert all(json.loads((out / name / "status.json").read_text())["state"] == "running" for name in names)


def _without_paths(shown):
    return {**shown, "run": "", "runs": [{**run, "run": ""} for run in shown.get("runs", [])]}


def _require_equal(plain, other):
    """Require that two folders hold the same files with the same bytes, but for what is measured."""
    names = sorted(path.relative_to(plain) for path in plain.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    different = [name for name in names if (plain / name).read_bytes() != (other / name).read_bytes()]
    assert [name for name in different if name.name not in _MEASURED] == []
    assert any(name.name == "weights.safetensors" for name in names)
