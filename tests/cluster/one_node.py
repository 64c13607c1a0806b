"""Adds a node to a Ray cluster until SIGTERM: python -m tests.cluster.one_node ADDRESS."""

import os
import signal
import sys

from tests.cluster.ray_cluster import SETTINGS, EarlyPorts, settings


def main(address: str) -> None:
    os.environ.update(SETTINGS)
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    parameters = RayParams(gcs_address=address, min_worker_port=0, max_worker_port=0, **settings())
    with EarlyPorts():
        node = Node(parameters, head=False, shutdown_at_exit=False, spawn_reaper=False)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    # Not by `sigwait`: the processes of the node would inherit the blocked signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        signal.pause()
    finally:
        node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)  # the cluster learns it at once


if __name__ == "__main__":
    main(sys.argv[1])
