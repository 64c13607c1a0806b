"""Ray cluster of several nodes on this machine, on the loopback interface, for tests."""

import os
import shutil
import socket
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

# Before Ray is imported: no usage statistics, and patience with a busy machine.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_health_check_timeout_ms": "60000",
}
LOOPBACK = "127.0.0.1"
_STORE = 80 * 1024 * 1024


class RayCluster:
    """A head node and worker nodes, with one core each for Ray unless there are more."""

    def __init__(self, nodes=2, cores=1):
        os.environ.update(SETTINGS)
        self._cores = cores
        from ray.cluster_utils import Cluster

        # The path of a socket may have 107 characters.
        self.folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
        Path("/tmp/ray").mkdir(exist_ok=True)  # where Ray notes its address
        self._head = {"temp_dir": self.folder, "no_monitor": True, "include_dashboard": False, **settings(cores)}
        with EarlyPorts():
            self._cluster = Cluster(initialize_head=True, shutdown_at_exit=False, head_node_args=self._head)
        self.workers = [self.add_node() for _ in range(nodes - 1)]

    @property
    def address(self):
        return self._cluster.address

    @property
    def logs(self):
        return Path(self.folder, "session_latest", "logs")

    def add_node(self, **changes):
        with EarlyPorts():
            return self._cluster.add_node(**{**settings(self._cores), **changes})

    def kill_node(self):
        """Kill a worker node at once, and start another one."""
        node = self.workers.pop()
        self._cluster.remove_node(node, allow_graceful=False)

    def restore(self):
        while not self.workers:
            self.workers.append(self.add_node())
        # For some seconds after its kill a node is taken for alive, and a command that begins then is an error.
        wait_until(lambda: self.num_nodes() == 1 + len(self.workers))

    def num_nodes(self):
        """Return the number of nodes that the cluster takes for alive."""
        raylet: Any = import_module("ray._raylet")  # its types name less than it has
        return sum(node.state == 0 for node in raylet.GcsClient(address=self.address).get_all_node_info().values())

    def processes(self, name):
        """Return the processes of Ray on this machine whose title holds a name, such as "ray::MapWorker"."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if name in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def close(self):
        started = psutil.Process().children(recursive=True)
        self._cluster.shutdown()
        _, alive = psutil.wait_procs([each for each in started if "ray" in _title(each)], timeout=10)
        for process in alive:
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def settings(cores=1):
    """Return the settings of a node."""
    return {
        "node_ip_address": LOOPBACK,
        "num_cpus": cores,
        "object_store_memory": _STORE,
        "include_log_monitor": False,
        "metrics_agent_port": _free_port(),
        "runtime_env_agent_port": _free_port(),
        "dashboard_agent_listen_port": _free_port(),
        "metrics_export_port": _free_port(),
    }


class EarlyPorts:
    """Ray ends a node whose agents need more than 15 s to write the files of their ports, as on a busy machine.

    The ports are known, and are written before the agents start.
    """

    def __enter__(self):
        from ray._private.node import Node

        persist_port = import_module("ray._raylet").persist_port

        self._node, self._start = Node, Node.start_ray_processes
        names = ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")

        def start(node):
            for name in names:
                persist_port(node._session_dir, node._node_id, name, getattr(node._ray_params, name))
            return self._start(node)

        Node.start_ray_processes = start

    def __exit__(self, *_):
        self._node.start_ray_processes = self._start


def _title(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _free_port():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        return server.getsockname()[1]


def wait_until(condition, seconds=300):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.1)
