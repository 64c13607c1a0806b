"""Prediction on a Ray cluster of two nodes on this machine: `make test-ray`."""

import importlib.metadata
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cluster.ray_cluster import LOOPBACK, wait_until

import saccade

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
pytestmark = pytest.mark.ray

_IMAGES = 3000
_UNREADABLE = 3


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """3,000 images of 32x32 pixels, three of them unreadable."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(1).integers(0, 256, (_IMAGES, 4, 4, 3), np.uint8)
    for number, small in enumerate(pixels):
        Image.fromarray(small).resize((32, 32)).save(folder / f"{number:04}.png")
    for number in (5, 1500, 2999):
        (folder / f"{number:04}.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def command(tiny_run, images, cluster):
    """Return the words of the command line."""

    def words(out, *options, source=images):
        line = ["predict", str(tiny_run.path), str(source), "--ray", cluster.address, "--out", str(out), *options]
        return [sys.executable, "-m", "saccade", *line]

    return words


@pytest.fixture(scope="module")
def unkilled(command, tmp_path_factory):
    """Rows of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("unkilled") / "predictions.parquet"
    done = subprocess.run(command(out, "--json"), check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # images are unreadable
    assert json.loads(done.stdout)["num_unreadable"] == _UNREADABLE
    return _rows(out)


def test_rows_equal_those_of_the_plain_command(unkilled, tiny_run, images, tmp_path):
    """The plain command runs TensorFlow on so many images, and ONNX Runtime on an exported file."""
    model = saccade.export(tiny_run, format="onnx", out=tmp_path / "model.onnx")
    predictions = saccade.predict(getattr(model, "path", tmp_path / "model.onnx"), images)
    assert [row["name"] for row in unkilled] == [one.name for one in predictions]
    assert [row["unreadable_reason"] for row in unkilled] == [one.unreadable_reason for one in predictions]
    for row, one in zip(unkilled, predictions, strict=True):
        assert [each["class_name"] for each in row["top"]] == [each.class_name for each in one.top]
        for each, other in zip(row["top"], one.top, strict=True):
            assert abs(each["probability"] - other.probability) <= 1e-6


@pytest.mark.parametrize("kind", ["worker", "node", "driver"])
def test_after_a_kill_the_rows_are_those_of_an_unkilled_run(kind, unkilled, command, cluster, tmp_path):
    _kill_once(kind, unkilled, command, cluster, tmp_path / "predictions.parquet", random.Random(kind))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(30))
def test_after_kills_at_random_moments(seed, unkilled, command, cluster, tmp_path):
    kind = ("worker", "node", "driver")[seed % 3]
    _kill_once(kind, unkilled, command, cluster, tmp_path / "predictions.parquet", random.Random(seed))


def _kill_once(kind, unkilled, command, cluster, out, rng):
    cluster.restore()
    committed = out.with_name(f"{out.name}.checkpoint") / "rows"
    running = subprocess.Popen(command(out, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    after = rng.randint(1, 4)
    wait_until(lambda: running.poll() is not None or len(_finished(committed)) >= after)
    struck = len(_finished(committed))
    assert running.poll() is None, running.communicate()
    if kind == "driver":
        running.kill()
        running.communicate()
        assert sum(len(_ids(path)) for path in _finished(committed)) < _IMAGES
        running = subprocess.Popen(command(out, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    elif kind == "node":
        cluster.kill_node()
    else:
        rng.choice(cluster.processes("ray::MapWorker")).send_signal(signal.SIGKILL)
    stdout, stderr = running.communicate()
    assert running.returncode == 1, stderr  # images are unreadable
    result = json.loads(stdout)
    assert struck >= 1
    assert (result["num_continued"] > 0) == (kind == "driver")
    assert result["num_continued"] < _IMAGES
    assert _rows(out) == unkilled


def test_a_killed_embedding_continues_to_the_rows_of_the_plain_command(tiny_run, images, cluster, tmp_path):
    import pyarrow.parquet

    import saccade

    cluster.restore()
    out = tmp_path / "embeddings.parquet"
    line = ["embed", str(images), "--run", str(tiny_run.path), "--ray", cluster.address, "--out", str(out), "--json"]
    words = [sys.executable, "-m", "saccade", *line]
    committed = out.with_name(f"{out.name}.checkpoint") / "rows"
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: running.poll() is not None or _finished(committed))
    assert running.poll() is None
    running.kill()
    running.wait()
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["num_images"], result["num_unreadable"]) == (_IMAGES, _UNREADABLE)
    assert 0 < result["num_continued"] < _IMAGES
    saccade.embed(images, network=tiny_run, out=tmp_path / "plain.parquet")
    plain = pyarrow.parquet.read_table(tmp_path / "plain.parquet").sort_by("path").to_pydict()
    rows = pyarrow_dataset.dataset(out).to_table().sort_by("id").to_pydict()
    assert rows.pop("id") == list(range(_IMAGES))
    assert rows == plain


def test_sigterm_ends_the_command_without_noise_and_the_repeated_command_continues(unkilled, command, tmp_path):
    out = tmp_path / "predictions.parquet"
    running = subprocess.Popen(command(out, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    committed = out.with_name(f"{out.name}.checkpoint") / "rows"
    wait_until(lambda: running.poll() is not None or _finished(committed))
    running.terminate()
    _, stderr = running.communicate()
    assert running.returncode == 143, stderr
    assert "SIGTERM" not in stderr
    assert "Traceback" not in stderr
    continued = subprocess.run(command(out, "--json"), check=False, capture_output=True, text=True)
    assert 0 < json.loads(continued.stdout)["num_continued"] < _IMAGES
    assert _rows(out) == unkilled


def test_the_budget_of_unreadable_images_stops_all_nodes_and_a_larger_one_continues(command, unkilled, tmp_path):
    out = tmp_path / "predictions.parquet"
    stopped = subprocess.run(command(out, "--max-unreadable", "2"), check=False, capture_output=True, text=True)
    assert stopped.returncode == 1
    assert "more images are unreadable than --max-unreadable allows" in stopped.stderr
    assert "Traceback" not in stopped.stderr

    subprocess.run(command(out, "--max-unreadable", "1%"), check=False, capture_output=True)
    assert _rows(out) == unkilled


def test_a_dry_run_shows_nodes_versions_and_time_and_writes_nothing(command, tmp_path):
    shown = subprocess.run(
        command(tmp_path / "out", "--dry-run", "--json"), check=False, capture_output=True, text=True
    )
    plan = json.loads(shown.stdout)
    assert len(plan["nodes"]) == 2
    assert all(node["versions"]["ray"] and node["cores"] == 1 for node in plan["nodes"])
    assert (plan["num_images"], plan["workers"]) == (_IMAGES, 2)
    assert 0 < plan["expected_seconds"] < 3600
    assert not list(tmp_path.iterdir())


def test_more_workers_than_cores_and_no_room_are_errors_before_the_work(command, tmp_path):
    asked = subprocess.run(command(tmp_path / "out", "--workers", "9"), check=False, capture_output=True, text=True)
    assert asked.returncode == 1
    assert "too few cores" in asked.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_of_ray_listens_beyond_loopback(cluster, unkilled):
    shown = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    started = {process.pid for process in cluster.processes("ray")}
    of_ray = [line for line in shown.splitlines() if any(f"pid={pid}," in line for pid in started)]
    addresses = {line.split()[3].rpartition(":")[0] for line in of_ray}
    assert of_ray
    assert addresses <= {LOOPBACK, "[::1]", f"[::ffff:{LOOPBACK}]"}


@contextmanager
def _one_more_node(cluster, command, **options):
    """Start a node by a command line, and end the node at the end."""
    before = cluster.num_nodes()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as node:
        try:
            assert node.stdout is not None
            assert node.stdout.readline().strip() == "up"
            yield
        finally:
            node.terminate()
    wait_until(lambda: cluster.num_nodes() == before)


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="mount namespaces need root")
def test_a_node_that_does_not_see_the_images_is_named_before_the_work(command, cluster, images, tmp_path):
    node = f"{sys.executable} -m tests.cluster.one_node {cluster.address}"
    with _one_more_node(cluster, ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {images} && exec {node}"]):
        failed = subprocess.run(command(tmp_path / "out"), check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert f"the node {LOOPBACK}" in failed.stderr
    assert "can't see the images" in failed.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("version", "problem"),
    [("0.0.1", "other versions than this machine"), (None, "another Saccade of the same version")],
    ids=["another version", "another source"],
)
def test_a_node_with_another_saccade_in_its_own_environment_is_named_before_the_work(
    version, problem, command, cluster, tmp_path
):
    """The environment has a changed Saccade of its own, and all other packages of this one."""
    version = version or importlib.metadata.version("saccade")
    python = _environment(tmp_path / "environment", version)
    without_ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with _one_more_node(cluster, [python, "-m", "tests.cluster.one_node", cluster.address], env=without_ours):
        failed = subprocess.run(command(tmp_path / "out/rows"), check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert re.search(rf"^error: the node {LOOPBACK} \(\w+\) has {problem}$", failed.stderr, flags=re.MULTILINE)
    assert "expected: " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(tmp_path.glob("out/*"))


def _environment(folder, version):
    """Make a virtual environment with another Saccade, and return its Python."""
    venv.create(folder, symlinks=True)
    (own,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(Path(saccade.__file__).parent, own / "saccade")
    with (own / "saccade/errors.py").open("a") as module:
        module.write("# another line\n")
    metadata = own / f"saccade-{version}.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: saccade\nVersion: {version}\n")
    packages = {Path(str(module.__file__)).parents[1] for module in (ray, np)}
    (own / "others.pth").write_text("".join(f"{path}\n" for path in packages))
    return str(folder / "bin/python")


def test_an_unreachable_address_is_an_error_within_seconds(tiny_run, images, tmp_path):
    line = ["predict", str(tiny_run.path), str(images), "--ray", f"{LOOPBACK}:9", "--out", str(tmp_path / "out")]
    failed = subprocess.run(
        [sys.executable, "-m", "saccade", *line], check=False, capture_output=True, text=True, timeout=300
    )
    assert failed.returncode == 1
    assert f"the Ray cluster at {LOOPBACK}:9 can't be reached" in failed.stderr


def _rows(out):
    return sorted(pyarrow_dataset.dataset(out).to_table().to_pylist(), key=lambda row: row["id"])


def _finished(folder):
    return [path for path in folder.glob("*.parquet") if ".pending" not in path.name] if folder.is_dir() else []


def _ids(path):
    return pyarrow_dataset.dataset(Path(path)).to_table().to_pylist()
