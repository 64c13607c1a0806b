"""One training by two workers in two network namespaces, over a network that is slow or cut: `make test-ray`."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tests.cluster.ray_cluster import SETTINGS, wait_until

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None,
        reason="network namespaces need root and iproute2",
    ),
]

_HEAD, _WORKER, _PORT = "10.77.0.1", "10.77.0.2", 6379
_SECONDS = 420


def _run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


class TwoNetworks:
    """Two namespaces with one address each, joined by a cable, and a node of Ray in each."""

    def __init__(self):
        self._names = [f"saccade-{side}-{os.getpid()}" for side in ("a", "b")]
        self._cables = [f"sac{side}{os.getpid() % 100000}" for side in ("a", "b")]
        self._folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
        self._nodes = []
        for name in self._names:
            _run("ip", "netns", "add", name)
        _run("ip", "link", "add", self._cables[0], "type", "veth", "peer", "name", self._cables[1])
        for name, cable, address in zip(self._names, self._cables, (_HEAD, _WORKER), strict=True):
            _run("ip", "link", "set", cable, "netns", name)
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", cable)
            for each in ("lo", cable):
                _run("ip", "-n", name, "link", "set", each, "up")

    def start(self):
        start = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--block",
            "--num-cpus=1",
            "--disable-usage-stats",
        ]
        store = "--object-store-memory=80000000"
        self._node(0, [*start, "--head", f"--node-ip-address={_HEAD}", f"--port={_PORT}", "--include-dashboard=false",
                       f"--temp-dir={self._folder}", store])  # fmt: skip
        wait_until(lambda: self._responds(0), 120)
        self._node(1, [*start, f"--address={_HEAD}:{_PORT}", f"--node-ip-address={_WORKER}", store])
        wait_until(lambda: self._num_nodes() == 2, 120)

    def _node(self, side, words):
        self._nodes.append(
            subprocess.Popen(
                self.inside(side, words), env=os.environ | SETTINGS | {"RAY_health_check_timeout_ms": "5000"},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip

    def inside(self, side, words):
        return ["ip", "netns", "exec", self._names[side], *words]

    def _responds(self, side):
        code = f"import socket; socket.create_connection(('{_HEAD}', {_PORT}), 1)"
        words = self.inside(side, [sys.executable, "-c", code])
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def _num_nodes(self):
        code = (
            f"import ray._raylet as r; n = r.GcsClient(address='{_HEAD}:{_PORT}').get_all_node_info().values(); "
            "print(sum(each.state == 0 for each in n))"
        )
        found = subprocess.run(
            self.inside(0, [sys.executable, "-c", code]), capture_output=True, text=True, check=False
        )
        return int(found.stdout.strip() or 0)

    def slow_down(self):
        """Let the worker node send at most 20 Mbit a second."""
        limit = ["tbf", "rate", "20mbit", "burst", "64kb", "latency", "400ms"]
        _run("tc", "-n", self._names[1], "qdisc", "add", "dev", self._cables[1], "root", *limit)

    def cut(self):
        _run("ip", "-n", self._names[1], "link", "set", self._cables[1], "down")

    def close(self):
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                node.kill()
        for name in self._names:
            pids = _run("ip", "netns", "pids", name).split()
            if pids:
                subprocess.run(["kill", "-9", *pids], capture_output=True, check=False)
            _run("ip", "netns", "del", name)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def networks():
    made = TwoNetworks()
    try:
        made.start()
        yield made
    finally:
        made.close()


def train(networks, data, out, epochs):
    return subprocess.Popen(
        networks.inside(0, [
            sys.executable, "-m", "saccade", "train", str(data), "--recipe", "folder", "--set=image_size=32",
            "--set=batch_size=16", "--epochs", str(epochs), "--checkpoint-every", "0.001s", "--workers", "2",
            "--out", str(out), f"--ray={_HEAD}:{_PORT}", "--json",
        ]),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def steps(out):
    return max((int(path.name[5:]) for path in out.glob("checkpoints/step-*")), default=0)


def test_a_slow_network_delays_the_training_and_timings_name_it(networks, tiny_folder, tmp_path):
    networks.slow_down()
    running = train(networks, tiny_folder, tmp_path / "run", 2)
    stdout, stderr = running.communicate(timeout=_SECONDS)
    assert running.returncode == 0, stderr
    assert json.loads(stdout)["state"] == "finished"
    with (tmp_path / "run/timings.csv").open() as file:
        rows = list(csv.DictReader(file))
    # A vector of 0.6 MB needs 0.25 s on this network.
    assert all(float(row["exchange_seconds"]) > 0.25 for row in rows), rows


def test_a_node_that_is_cut_off_is_replaced_or_the_command_ends_plainly(networks, tiny_folder, tmp_path):
    out = tmp_path / "run"
    running = train(networks, tiny_folder, out, 40)
    wait_until(lambda: running.poll() is not None or steps(out) >= 3)
    assert running.poll() is None
    networks.cut()
    cut = time.monotonic()
    _, stderr = running.communicate(timeout=_SECONDS)
    assert "a worker was lost" in stderr
    assert "Traceback" not in stderr
    if running.returncode:
        assert running.returncode == 1
        assert "resume from the last checkpoint" in stderr
        assert time.monotonic() - cut < 300
    else:
        assert json.loads((out / "status.json").read_text())["state"] == "finished"
