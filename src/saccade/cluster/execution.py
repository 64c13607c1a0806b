"""Execution of work on a cluster: checks of the nodes, the missing rows of a listing, one row for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saccade.cluster.checkpoint import Checkpoint
from saccade.cluster.connection import connected
from saccade.cluster.listing import Listing
from saccade.cluster.nodes import Needs, Node, usable_nodes
from saccade.cluster.options import ClusterOptions
from saccade.cluster.plan import ClusterPlan, measure_nodes
from saccade.cluster.probe import PACKAGES
from saccade.cluster.ray_data import Work, choose_workers, compute
from saccade.cluster.result import ClusterResult
from saccade.cluster.scoring import NetworkFactory
from saccade.cluster.storage import Place
from saccade.errors import DataError
from saccade.progress import log_message
from saccade.sanitize import counted

_TIMED = 16  # images of a dry run
_SAMPLED = 20  # images of which every node must see the files
# An actor has 0.28 GB and its decoding process 0.04 GB with images of 32x32 pixels; the rest is for large images.
_WORKER_BYTES = 700_000_000


@dataclass(frozen=True)
class Prepared:
    """Work that is ready for a cluster.

    Attributes:
        factory: opens the network.
        contents: contents of the network's file.
        batch_size: number of images in a batch.
        request: all that decides the results.
        max_unreadable: largest number of unreadable images; None for any number.
        progress_name: what the progress bar names.
    """

    factory: NetworkFactory
    contents: bytes
    batch_size: int
    request: Mapping[str, Any]
    max_unreadable: int | None
    progress_name: str


def run_on_cluster(
    options: ClusterOptions, place: Place, listing: Listing, prepared: Prepared, *, progress: bool
) -> ClusterResult:
    """Check the nodes, compute the rows of a listing that are missing, and check that each image has one row.

    Raises:
        ClusterError, DataError: the cluster, a node, the images or the results can't be used, or too many images are
            unreadable.
    """
    checkpoint = Checkpoint(place)
    checkpoint.has_begun(dict(prepared.request))
    with connected(options.address) as ray:
        log_message("checking the nodes of the cluster", shown=progress)
        nodes, placed = _checked_nodes(ray, options, place, listing, prepared)
        with checkpoint.locked():
            checkpoint.begin(dict(prepared.request), listing.to_table())
            checkpoint.mend()
            before = checkpoint.done()
            work = Work(
                prepared.factory,
                prepared.contents,
                prepared.batch_size,
                options.threads,
                placed,
                len(listing),
                prepared.max_unreadable,
                prepared.progress_name,
            )
            if len(before.ids) < len(listing):
                workers = counted(sum(count for _, count in placed), "worker")
                log_message(f"starting {workers} on {counted(len(placed), 'node')}", shown=progress)
                compute(ray, work, checkpoint, before, progress=progress)
            done = checkpoint.finish(len(listing))
    return ClusterResult(
        str(place.text),
        len(listing),
        len(done.unreadable),
        len(before.ids),
        sum(count for _, count in placed),
        tuple(node.address for node in nodes),
        listing.notes,
    )


def plan_on_cluster(options: ClusterOptions, place: Place | None, listing: Listing, prepared: Prepared) -> ClusterPlan:
    """Check nodes and results, and measure the time of some images; nothing is kept.

    Raises:
        ClusterError, DataError: the cluster, a node or the images can't be used.
    """
    if place is not None:
        Checkpoint(place).has_begun(dict(prepared.request))
    with connected(options.address) as ray:
        nodes, placed = _checked_nodes(ray, options, place, listing, prepared)
        sample = Listing(listing.samples(_TIMED)).to_table()
        rate = measure_nodes(ray, nodes, (prepared.factory, prepared.contents, options.threads), sample)
    sampled, workers = len(listing.samples(_SAMPLED)), sum(count for _, count in placed)
    return ClusterPlan(tuple(nodes), workers, len(listing), sampled, rate * workers)


def _checked_nodes(
    ray: Any, options: ClusterOptions, place: Place | None, listing: Listing, prepared: Prepared
) -> tuple[list[Node], list[tuple[str, int]]]:
    """Return the nodes, which can do the work, and the number of workers of each."""
    if not len(listing):
        raise DataError("there is no image", expected="images, or a label file with rows")
    contents = len(prepared.contents)
    needs = Needs(
        listing.samples(_SAMPLED), place, PACKAGES, options.threads, _WORKER_BYTES + 3 * contents, contents=contents
    )
    nodes = usable_nodes(ray, needs)
    return nodes, choose_workers(nodes, options.threads, options.workers)
