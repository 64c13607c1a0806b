"""Ray Data: from a listing through actors to Parquet, with Ray Data's checkpoint."""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from saccade.cluster.checkpoint import Checkpoint, Done
from saccade.cluster.connection import reason_of_ray
from saccade.cluster.nodes import Node
from saccade.cluster.scoring import NetworkFactory, Scorer, ScoringTask
from saccade.cluster.tally import Count, Tally
from saccade.errors import ClusterError, DataError
from saccade.progress import counting
from saccade.sanitize import counted

_SHARDS_OF_WORKER = 8
_MAX_SHARD = 2048
_SECONDS_BETWEEN_COUNTS = 0.5
_FILTER_BYTES = 100_000_000  # instead of Ray's 1 GB, for an actor that holds the finished ids


@dataclass(frozen=True)
class Work:
    """Work of a cluster on a listing.

    Attributes:
        factory: opens the network.
        contents: contents of the network's file.
        batch_size: number of images in a batch of the network.
        threads: number of threads of a worker.
        nodes: id of each node, with the number of its workers.
        total: number of images of the listing.
        max_unreadable: largest number of unreadable images; None for any number.
        progress_name: what the progress bar names.
    """

    factory: NetworkFactory
    contents: bytes
    batch_size: int
    threads: int
    nodes: Sequence[tuple[str, int]]
    total: int
    max_unreadable: int | None
    progress_name: str

    @property
    def workers(self) -> int:
        """Number of workers."""
        return sum(count for _, count in self.nodes)


def choose_workers(nodes: Sequence[Node], threads: int, asked: int | None) -> list[tuple[str, int]]:
    """Return the id of each node with the number of its workers: as many as its cores allow, or fewer.

    Fewer workers than the cores allow are spread: each next one is on the node with the most free cores.

    Raises:
        ClusterError: more workers are asked for than the cores allow.
    """
    fitting = sum(node.workers(threads) for node in nodes)
    if asked is not None and asked > fitting:
        raise too_few_cores(nodes, asked, threads, f"at most {counted(fitting, 'worker')}")
    counts = dict.fromkeys((node.node_id for node in nodes), 0)
    for _ in range(asked or fitting):
        freest = max(nodes, key=lambda node: node.cores - threads * counts[node.node_id])
        counts[freest.node_id] += 1
    return [(node_id, count) for node_id, count in counts.items() if count]


def too_few_cores(nodes: Sequence[Node], asked: int, threads: int, expected: str) -> ClusterError:
    """Return the error for more workers than the cores of the nodes allow."""
    return ClusterError(
        f"the cluster has too few cores for {counted(asked, 'worker')} of {counted(threads, 'thread')}",
        expected=expected,
        found=", ".join(f"{node.address}: {counted(int(node.cores), 'core')}" for node in nodes),
        remedy="use fewer --workers or --threads, or add nodes",
    )


def shard_size(total: int, workers: int, batch_size: int) -> int:
    """Return the number of rows that one worker computes at a time and one file holds: whole batches."""
    rows = min(math.ceil(total / (_SHARDS_OF_WORKER * workers)), _MAX_SHARD)
    return max(1, math.ceil(rows / batch_size)) * batch_size


def compute(ray: Any, work: Work, checkpoint: Checkpoint, done: Done, *, progress: bool) -> None:
    """Compute the rows of a listing that are not done, and write them.

    Args:
        ray: the module, connected.
        work: the work.
        checkpoint: place of the results, whose listing is written.
        done: rows that an earlier start finished.
        progress: whether to show a bar on stderr.

    Raises:
        DataError: more images are unreadable than is allowed.
        ClusterError: the work failed.
    """
    tally = _start_tally(ray, work, done)
    try:
        with _bar(ray, tally, work, shown=progress), _settings(checkpoint):
            _execute(ray, work, checkpoint, tally)
    except Exception as error:  # whatever Ray Data raises
        count = _count(ray, tally)
        if count is not None and count.is_exceeded:
            raise _too_many_unreadable(count, work) from None
        raise ClusterError(
            "the work on the cluster failed",
            found=reason_of_ray(error),
            remedy="repeat the command: it continues with the rows that are missing",
        ) from None
    finally:
        ray.kill(tally)


def _start_tally(ray: Any, work: Work, done: Done) -> Any:
    """Start the count on the node of this process: it lives as long as the command."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Tally).options(num_cpus=0, scheduling_strategy=here)
    return actor.remote(work.max_unreadable, done.ids.tolist(), done.unreadable)


class Placement:
    """Chooses the node of each worker that Ray Data starts.

    Args:
        node_ids: node of each worker.
    """

    def __init__(self, node_ids: Sequence[str]) -> None:
        self._next = itertools.cycle(node_ids)

    def __call__(self) -> dict[str, Any]:
        """Return the arguments of Ray for the next worker; one whose node dies starts again on another node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(next(self._next), soft=True)}


def _execute(ray: Any, work: Work, checkpoint: Checkpoint, tally: Any) -> None:
    from ray.data import ActorPoolStrategy, read_parquet

    task = ScoringTask(work.factory, ray.put(work.contents), work.threads, tally)
    rows = shard_size(work.total, work.workers, work.batch_size)
    listing = read_parquet(checkpoint.listing.path, filesystem=checkpoint.system, num_cpus=0)
    results = listing.repartition(target_num_rows_per_block=rows, strict=True).map_batches(
        Scorer,
        fn_constructor_args=[task],
        batch_size=rows,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=work.workers),
        # The nodes of the workers are chosen here, by their cores. For Ray they need none: so there is always a core
        # for Ray Data's own short tasks, and the workers of a node that died can start again on the others.
        num_cpus=0,
        ray_remote_args_fn=Placement([node_id for node_id, count in work.nodes for _ in range(count)]),
    )
    results.write_parquet(
        checkpoint.out.path,
        filesystem=checkpoint.system,
        try_create_dir=not checkpoint.out.is_remote,
        ray_remote_args={"num_cpus": 0},
    )


@contextmanager
def _settings(checkpoint: Checkpoint) -> Iterator[None]:
    """Set Ray Data's checkpoint, and silence Ray Data, while the block runs."""
    from ray.data import DataContext
    from ray.data.checkpoint import CheckpointConfig

    context = DataContext.get_current()
    config = CheckpointConfig(
        "id", checkpoint.rows.path, delete_checkpoint_on_success=False, override_filesystem=checkpoint.system
    )
    config.checkpoint_actor_memory_bytes = _FILTER_BYTES
    config.checkpoint_actor_pool_max_size = 1
    before = context.checkpoint_config
    context.checkpoint_config = config
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.checkpoint_config = before


@contextmanager
def _bar(ray: Any, tally: Any, work: Work, *, shown: bool) -> Iterator[None]:
    """Show the number of finished images while the block runs."""
    stop = threading.Event()

    def follow() -> None:
        with counting(work.progress_name, total=work.total, unit="images", shown=shown) as bar:
            shown_count = 0
            while True:
                ended = stop.wait(_SECONDS_BETWEEN_COUNTS)
                count = _count(ray, tally)
                if count is not None and count.finished > shown_count:
                    bar.update(count.finished - shown_count)
                    shown_count = count.finished
                if ended:
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _count(ray: Any, tally: Any) -> Count | None:
    with suppress(Exception):  # a cluster that ends
        count: Count = ray.get(tally.count.remote(), timeout=10)
        return count
    return None


def _too_many_unreadable(count: Count, work: Work) -> DataError:
    reasons = "; ".join(f"image {i}: {reason}" for i, reason in count.examples.items())
    return DataError(
        "more images are unreadable than --max-unreadable allows",
        expected=f"at most {work.max_unreadable:,} of {counted(work.total, 'image')}",
        found=f"{count.unreadable:,} so far, such as {reasons}",
        remedy="correct the paths, or repeat the command with a larger --max-unreadable: it continues",
    )
