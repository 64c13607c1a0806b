"""How a command uses a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterOptions:
    """Use of a cluster.

    Attributes:
        address: address of the cluster, as for `connected`.
        workers: number of workers; None: as many as the cores of all nodes allow.
        threads: number of threads of a worker, at least 1.
        max_unreadable: "1%" or a number of images; None for any number.
    """

    address: str
    workers: int | None = None
    threads: int = 1
    max_unreadable: str | None = None
