"""One training of `saccade train` by several workers on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from saccade.cli.output import print_json, print_line
from saccade.cli.ray_options import print_nodes
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.cluster.options import ClusterOptions
    from saccade.cluster.parallel_training import RayWorkers, WorkerPlan
    from saccade.data.dataset import Dataset
    from saccade.runs.run import Run


@dataclass(frozen=True)
class ParallelJob:
    """Command whose training is divided among workers.

    Attributes:
        options: the cluster and its use.
        dry_run: whether to print the plan and train nothing.
        as_json: whether to print JSON.
    """

    options: ClusterOptions
    dry_run: bool
    as_json: bool

    def begin(self) -> None:
        """Require a cluster that responds, before any slow work.

        Raises:
            ClusterError: there is no such cluster.
        """
        from saccade.cluster.connection import require_response

        require_response(self.options.address)

    def like(self, run: Run) -> ParallelJob:
        """Return the job with the number of workers with which a run began, unless another one is asked for."""
        workers = self.options.workers or run.environment().workers
        return replace(self, options=replace(self.options, workers=workers))

    @contextmanager
    def workers(self, dataset: Dataset, out: str) -> Iterator[RayWorkers | None]:
        """Check the nodes, and yield the workers; None after a dry run. TensorFlow must not be loaded yet.

        Args:
            dataset: the data, whose files all nodes must see.
            out: run directory, which all nodes must see.

        Raises:
            ClusterError: the cluster or a node can't be used.
        """
        from saccade.cluster.connection import connected

        with connected(self.options.address) as ray:
            # After the start of a Ray on this machine, which has all of its cores, and before TensorFlow.
            os.environ["SACCADE_THREADS"] = str(self.options.threads)
            from saccade.cluster.parallel_training import RayWorkers, plan_workers
            from saccade.cluster.trainings import SharedFiles

            files = SharedFiles(dataset, [], Path(os.path.abspath(out)))  # noqa: PTH100 - keeps symbolic links
            plan = plan_workers(ray, self.options, files)
            if not self.dry_run:
                print_line(_summary(plan), err=True)
                yield RayWorkers(ray, plan, dataset.source)
                return
        # After the connection, in which standard output is closed.
        _print_plan(plan, as_json=self.as_json)
        yield None


def _summary(plan: WorkerPlan) -> str:
    nodes, threads = counted(len(plan.nodes), "node"), counted(plan.threads, "thread")
    return f"workers: {plan.workers:,} on {nodes}, each with {threads}; the first one is this command"


def _print_plan(plan: WorkerPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan.to_dict())
        return
    print_nodes(plan.nodes, plan.paths)
    print_line(_summary(plan))
