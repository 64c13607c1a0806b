"""Dry run: the nodes of a cluster, and the time that the work is expected to take, measured on some images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saccade.cluster.connection import reason_of_ray
from saccade.cluster.nodes import Node
from saccade.cluster.scoring import BlockScorer, NetworkFactory
from saccade.errors import ClusterError

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class ClusterPlan:
    """Plan of the work on a listing.

    Attributes:
        nodes: the nodes, which passed all checks.
        workers: number of workers.
        num_images: number of images of the listing.
        num_sampled: number of images of which every node sees the files.
        images_per_second: images that all workers are expected to finish in a second.
    """

    nodes: tuple[Node, ...]
    workers: int
    num_images: int
    num_sampled: int
    images_per_second: float

    @property
    def seconds(self) -> float:
        """Expected time for all images, in seconds, without the start."""
        return self.num_images / self.images_per_second

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {
            "nodes": [{**node.to_dict(), "object_store": node.object_store} for node in self.nodes],
            "workers": self.workers,
            "num_images": self.num_images,
            "num_sampled": self.num_sampled,
            "images_per_second": round(self.images_per_second, 2),
            "expected_seconds": round(self.seconds, 1),
        }


def measure_rate(factory: NetworkFactory, contents: bytes, threads: int, block: pyarrow.Table) -> float:
    """Return the images that one worker of this node finishes in a second, without its start."""
    scorer = BlockScorer(factory.open(contents, threads), threads)
    try:
        scorer(block)
        start = time.perf_counter()
        scorer(block)
        return len(block) / (time.perf_counter() - start)
    finally:
        scorer.close()


def measure_nodes(ray: Any, nodes: list[Node], work: tuple[NetworkFactory, bytes, int], block: pyarrow.Table) -> float:
    """Return the images that one worker finishes in a second, on the average of the nodes.

    Raises:
        ClusterError: a node can't do the work.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    factory, contents, threads = work
    remote = ray.remote(measure_rate)
    running = [
        remote.options(
            num_cpus=threads,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
        ).remote(factory, contents, threads, block)
        for node in nodes
        if node.workers(threads)
    ]
    try:
        rates: list[float] = ray.get(running)
    except Exception as error:  # of Ray
        raise ClusterError("a node of the cluster can't do the work", found=reason_of_ray(error)) from None
    return sum(rates) / len(rates)
