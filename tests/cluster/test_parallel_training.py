"""One training by several workers on a Ray cluster of two nodes on this machine: `make test-ray`."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.cluster.ray_cluster import RayCluster, wait_until

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.ray

_HELPER = "ray::TrainingHelper"
_SETTINGS = {
    "image_size": "32",
    "batch_size": "16",
    "plain_epochs": "3",
    "augmented_epochs": "2",
    "checkpoint_seconds": "0.001",
}
_KILLS_BY_DAY, _KILLS_AT_NIGHT = 3, 20


@pytest.fixture(scope="module")
def cluster():
    """Cluster of two nodes: one with the command and a helper, one with two helpers."""
    started = RayCluster(cores=2)
    yield started
    started.close()


@pytest.fixture(scope="module")
def train(tiny_folder, cluster):
    """Return a function that starts `saccade train --ray`."""

    def start(*words, data=True):
        return subprocess.Popen(
            [sys.executable, "-m", "saccade", "train", *([str(tiny_folder)] if data else []), *map(str, words),
             f"--ray={cluster.address}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def options(out, workers, **settings):
    return [
        "--recipe", "folder", "--workers", workers, "--out", out,
        *(f"--set={key}={value}" for key, value in (_SETTINGS | settings).items()),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def unkilled(train, tmp_path_factory):
    """A run of two workers that nothing disturbed."""
    out = tmp_path_factory.mktemp("unkilled") / "run"
    finished(train(*options(out, 2)))
    return out


def finished(running, code=0):
    stdout, stderr = running.communicate()
    assert running.returncode == code, stderr
    assert "Traceback" not in stderr
    return stdout + stderr


def weights(run):
    return load_file(run / "weights.safetensors")


def require_same_bits(run, other):
    assert (run / "history.csv").read_text() == (other / "history.csv").read_text()
    first, second = weights(run), weights(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def relative_difference(run, other):
    first, second = weights(run), weights(other)
    pairs = [(first[name].astype(np.float64).ravel(), second[name].ravel()) for name in first]
    difference = sum(np.sum((a - b) ** 2) for a, b in pairs)
    return np.sqrt(difference / sum(np.sum(a**2) for a, _ in pairs))


def in_one_process(data, out, workers, recipe, **settings):
    words = [f"{key}={value}" for key, value in settings.items()]
    subprocess.run(
        [sys.executable, "-m", "tests.cluster.one_process", data, out, str(workers), recipe, *words],
        env=os.environ | {"SACCADE_THREADS": "1"}, check=True,
    )  # fmt: skip


def test_two_workers_have_the_bits_of_one_process_that_adds_their_gradients(unkilled, tiny_folder, tmp_path):
    in_one_process(tiny_folder, tmp_path / "run", 2, "folder", **_SETTINGS)
    require_same_bits(unkilled, tmp_path / "run")


def test_the_same_number_of_workers_has_the_same_bits_and_its_timings_name_the_exchange(unkilled, train, tmp_path):
    shown = finished(train(*options(tmp_path / "run", 2), "--json"))
    assert "workers: 2 on 2 nodes, each with 1 thread; the first one is this command" in shown
    require_same_bits(unkilled, tmp_path / "run")
    with (tmp_path / "run/timings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["workers"] for row in rows] == ["2"] * 5
    assert all(0 < float(row["exchange_seconds"]) < float(row["seconds"]) for row in rows)
    assert json.loads((tmp_path / "run/environment.json").read_text())["workers"] == 2


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.nightly), 4])
def test_other_numbers_of_workers_have_the_weights_of_one_process_too(workers, train, tiny_folder, tmp_path):
    finished(train(*options(tmp_path / "cluster", workers)))
    in_one_process(tiny_folder, tmp_path / "run", workers, "folder", **_SETTINGS)
    assert relative_difference(tmp_path / "cluster", tmp_path / "run") < 1e-5


@pytest.mark.parametrize(
    "recipe", [*(pytest.param(name, marks=pytest.mark.nightly) for name in ("two-phase", "fast")), "photo"]
)
def test_the_weights_of_other_recipes_are_those_of_one_process(recipe, train, cluster, tiny_folder, tmp_path):
    """The helper of `photo` is killed before the steps, while outputs are computed and the head is fitted."""
    settings = {"batch_size": "16", "checkpoint_seconds": "0.001"}
    if recipe == "photo":
        settings |= {"image_size": "64", "augmented_versions": "1", "augmented_epochs": "2"}
    else:
        settings |= {"plain_epochs": "0" if recipe == "fast" else "1", "augmented_epochs": "1"}
    words = [f"--set={key}={value}" for key, value in settings.items()]
    running = train("--recipe", recipe, *words, "--workers", 2, "--out", tmp_path / "cluster")
    if recipe == "photo":
        wait_until(lambda: running.poll() is not None or (tmp_path / "cluster/checkpoints/step-00000000").exists())
        wait_until(lambda: running.poll() is not None or cluster.processes(_HELPER))
        cluster.processes(_HELPER)[0].kill()
    assert ("a worker was lost" in finished(running)) == (recipe == "photo")
    in_one_process(tiny_folder, tmp_path / "run", 2, recipe, **settings)
    assert relative_difference(tmp_path / "cluster", tmp_path / "run") < 1e-5


@pytest.mark.parametrize("seed", range(_KILLS_BY_DAY))
def test_a_helper_that_is_killed_in_a_step_changes_no_bit(seed, unkilled, train, cluster, tmp_path):
    kill_a_helper(seed, unkilled, train, cluster, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(_KILLS_BY_DAY, _KILLS_AT_NIGHT))
def test_more_kills_change_no_bit(seed, unkilled, train, cluster, tmp_path):
    kill_a_helper(seed, unkilled, train, cluster, tmp_path)


def kill_a_helper(seed, unkilled, train, cluster, tmp_path):
    """Kill a helper after a random step, which a checkpoint shows, and so within the next step."""
    out = tmp_path / "run"
    running = train(*options(out, 2))
    after = int(np.random.default_rng(seed).integers(1, 10))
    wait_for_steps(running, out, after)
    (helper,) = cluster.processes(_HELPER)
    helper.kill()
    shown = finished(running)
    assert "a worker was lost" in shown
    assert "all workers run again; the step is repeated" in shown
    require_same_bits(unkilled, out)


def wait_for_steps(running, out, steps):
    wait_until(lambda: running.poll() is not None or last_step(out) >= steps)
    assert running.poll() is None, finished(running)


def last_step(out):
    return max((int(path.name[5:]) for path in out.glob("checkpoints/step-*")), default=0)


def test_a_killed_command_resumes_to_the_same_bits(unkilled, train, tmp_path):
    out = tmp_path / "run"
    running = train(*options(out, 2))
    wait_for_steps(running, out, 4)
    running.kill()
    running.communicate()
    shown = finished(train("--resume", out, data=False))
    assert "workers: 2 on" in shown  # as at its beginning
    require_same_bits(unkilled, out)


def test_ctrl_c_saves_a_run_and_one_machine_resumes_it(train, tmp_path):
    out = tmp_path / "run"
    running = train(*options(out, 2))
    wait_for_steps(running, out, 9)  # in the second epoch
    running.send_signal(signal.SIGINT)
    assert "stopping after this step and saving" in finished(running, code=130)
    resumed = subprocess.run(
        [sys.executable, "-m", "saccade", "train", "--resume", str(out)], capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "1 worker instead of 2: the training continues from the same state" in resumed.stderr
    with (out / "timings.csv").open() as file:
        assert {row["workers"] for row in csv.DictReader(file)} == {"1", "2"}


def test_the_helpers_end_with_a_killed_command(train, cluster, tmp_path):
    running = train(*options(tmp_path / "run", 2))
    wait_for_steps(running, tmp_path / "run", 1)
    assert cluster.processes(_HELPER)
    running.kill()
    running.communicate()
    wait_until(lambda: not cluster.processes(_HELPER))


def test_a_node_that_is_lost_is_replaced_by_another_one(unkilled, train, cluster, tmp_path):
    cluster.restore()
    running = train(*options(tmp_path / "run", 2))
    wait_for_steps(running, tmp_path / "run", 2)
    cluster.kill_node()
    assert "a worker was lost" in finished(running)
    require_same_bits(unkilled, tmp_path / "run")


def test_a_dry_run_prints_the_nodes_and_trains_nothing(train, cluster, tmp_path):
    cluster.restore()
    shown = finished(train(*options(tmp_path / "run", 3), "--dry-run"))
    assert "workers: 3 on 2 nodes" in shown
    assert not (tmp_path / "run").exists()


def test_too_many_workers_are_an_error_before_the_work(train, cluster, tmp_path):
    cluster.restore()
    shown = finished(train(*options(tmp_path / "run", 40)), code=1)
    assert "the cluster has too few cores for 40 workers" in shown
    assert "at most 4 workers, with the one of this command" in shown
    assert not (tmp_path / "run").exists()


def test_a_time_budget_ends_in_time(train, tmp_path):
    out = tmp_path / "run"
    began = time.monotonic()
    finished(train("--recipe", "folder", "--set=image_size=32", "--minutes", 2, "--workers", 2, "--out", out))
    assert time.monotonic() - began < 150
    assert json.loads((out / "status.json").read_text())["state"] == "finished"
