"""One training by several workers on a Ray cluster.

The process of the command is the first worker: it has the run, validates, and writes checkpoints. The helpers are Ray
actors. Gradients travel through Ray's object store, which is protected by the token of the cluster, and a helper that
is lost is an error there. So neither Ray Train nor TensorFlow's collective operations are used: the ports of the latter
listen on all interfaces without authentication, and a killed peer leaves the others waiting in them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.cluster.connection import reason_of_ray
from saccade.cluster.nodes import Needs, Node, usable_nodes
from saccade.cluster.options import ClusterOptions
from saccade.cluster.ray_data import choose_workers, too_few_cores
from saccade.cluster.storage import place_of
from saccade.cluster.training_helper import HelperTask, NotOpenError, TrainingHelper
from saccade.cluster.trainings import TRAINING_BYTES, SharedFiles
from saccade.errors import ClusterError
from saccade.progress import log_message
from saccade.runs.checkpoints import Arrays
from saccade.runs.environment import PACKAGES
from saccade.runs.run import Run
from saccade.sanitize import command_line, counted
from saccade.tensorflow_kernels import VALUES, VARIABLE
from saccade.training.parallel.parallel_step import HelpersLostError, PartRequest
from saccade.training.parallel.part_step import PartResult

_SECONDS_TO_RESTART = 120.0
_SECONDS_BETWEEN_LOOKS = 0.5
_MOST_LOSSES = 5  # without a step between them
_MOST_STARTS = 5


@dataclass(frozen=True)
class WorkerPlan:
    """Plan of a training by several workers.

    Attributes:
        nodes: the nodes, which passed all checks.
        workers: number of workers, with the first one.
        helpers: node of each helper, as an id of Ray.
        threads: number of threads of each worker.
        paths: files and the folder of the results, all of which every node sees.
    """

    nodes: tuple[Node, ...]
    workers: int
    helpers: tuple[str, ...]
    threads: int
    paths: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {
            "nodes": [node.to_dict() for node in self.nodes],
            "workers": self.workers,
            "threads": self.threads,
            "paths": list(self.paths),
        }


def plan_workers(ray: Any, options: ClusterOptions, files: SharedFiles) -> WorkerPlan:
    """Check all nodes, and choose the nodes of the helpers.

    Args:
        ray: the module, connected.
        options: the cluster and its use; the number of workers counts the process of the command.
        files: files that all nodes must see.

    Raises:
        ClusterError: a node can't do the work, or there are too few cores.
    """
    needs = Needs(
        files.listed(), place_of(str(files.out)), PACKAGES, options.threads, TRAINING_BYTES, workers=options.workers
    )
    nodes = usable_nodes(ray, needs)
    here = ray.get_runtime_context().get_node_id()
    # The first worker needs its cores too, which Ray does not know.
    free = [
        replace(node, cores=max(0.0, node.cores - options.threads)) if node.node_id == here else node for node in nodes
    ]
    helpers: list[str] = []
    most = 1 + sum(node.workers(options.threads) for node in free)
    if options.workers is not None and options.workers > most:
        expected = f"at most {counted(most, 'worker')}, with the one of this command"
        raise too_few_cores(nodes, options.workers, options.threads, expected)
    asked = None if options.workers is None else options.workers - 1
    if asked != 0 and (asked is not None or any(node.workers(options.threads) for node in free)):
        placed = choose_workers(free, options.threads, asked)
        helpers = [node_id for node_id, count in placed for _ in range(count)]
    paths = tuple(image.path for image in files.listed())
    return WorkerPlan(tuple(nodes), len(helpers) + 1, tuple(helpers), options.threads, (*paths, str(files.out)))


@dataclass(frozen=True)
class RayWorkers:
    """Workers of a training on a Ray cluster.

    Attributes:
        ray: the module, connected.
        plan: plan of the workers.
        data: name or absolute path of the data.
    """

    ray: Any
    plan: WorkerPlan
    data: str

    @property
    def count(self) -> int:
        """Number of workers, with the first one."""
        return self.plan.workers

    @contextmanager
    def helping(self, run: Run) -> Iterator[RayHelpers | None]:
        """Start the helpers of a run, and end them with the block; None where the first worker is alone."""
        if not self.plan.helpers:
            yield None
            return
        helpers = RayHelpers(self.ray, self.plan, run, self.data)
        try:
            helpers.open()
            yield helpers
        finally:
            helpers.end()


class RayHelpers:
    """The helpers of one training, as `saccade.training.parallel.parallel_step.Helpers` describes them.

    Args:
        ray: the module, connected.
        plan: plan of the workers.
        run: the run.
        data: as for `RayWorkers`.
    """

    def __init__(self, ray: Any, plan: WorkerPlan, run: Run, data: str) -> None:
        self._ray, self._plan, self._run = ray, plan, run
        kernels = run.environment().kernels
        environment = {"SACCADE_THREADS": str(plan.threads), "CUDA_VISIBLE_DEVICES": "-1"}
        if kernels is not None:
            environment[VARIABLE] = VALUES[kernels]
        path = os.path.abspath(run.path)  # noqa: PTH100 - keeps symbolic links
        self._tasks = [
            HelperTask(path, data, rank, plan.workers, environment) for rank in range(1, len(plan.helpers) + 1)
        ]
        self._actors: list[Any] = []
        self._running: list[Any] = []
        self._losses = 0

    @property
    def count(self) -> int:
        """Number of helpers."""
        return len(self._tasks)

    def open(self) -> None:
        """Start the helpers, and begin to load the data and to build the networks on them. Does not wait for that.

        Raises:
            ClusterError: a helper can't be started.
        """
        self._actors = [self._started(task, node) for task, node in zip(self._tasks, self._plan.helpers, strict=True)]
        # For some seconds after a node has joined, Ray may start an actor elsewhere.
        for _ in range(_MOST_STARTS):
            astray = [
                number
                for number, (found, node) in enumerate(zip(self._nodes(), self._plan.helpers, strict=True))
                if found != node
            ]
            if not astray:
                break
            for number in astray:
                self._ray.kill(self._actors[number])
                self._actors[number] = self._started(self._tasks[number], self._plan.helpers[number])
        self._call("open")

    def _started(self, task: HelperTask, node_id: str) -> Any:
        """Start a helper. Ray counts no cores for it: so a helper of a node that died can start again on another."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node_id, soft=True)
        actor = self._ray.remote(TrainingHelper).options(
            num_cpus=0, max_restarts=-1, max_task_retries=0, scheduling_strategy=strategy
        )
        return actor.remote(task)

    def _nodes(self) -> list[str]:
        """Return the node of each helper."""
        try:
            return list(self._get(self._call("node")))
        except HelpersLostError as error:
            raise self._given_up(str(error)) from None

    def load(self, arrays: Mapping[str, Arrays]) -> None:
        """Set all variables of network and optimizer. Does not wait."""
        self._call("load", self._ray.put(dict(arrays)))

    def compute_outputs(self) -> None:
        """Compute the outputs of frozen layers, each helper its share of them first. Does not wait."""
        self._call("compute_outputs")

    def begin(self, request: PartRequest) -> None:
        """Begin to compute the gradients of the parts. Does not wait."""
        self._running = self._call("compute", self._ray.put(request))

    def results(self) -> list[PartResult | None]:
        """Wait for the gradients, and return them in the order of the ranks.

        Raises:
            HelpersLostError: a helper was lost.
            ClusterError: the work of a helper failed.
        """
        results: list[PartResult | None] = self._get(self._running)
        self._losses = 0
        return results

    def apply(self, vector: NDArray[np.floating[Any]], learning_rate: float) -> None:
        """Update the weights by the sum of all vectors. Does not wait."""
        with suppress(HelpersLostError):  # the next step finds it too
            self._call("apply", self._ray.put(vector), learning_rate)

    def restart(self, reason: str) -> None:
        """Wait until all helpers run again, after one was lost.

        Raises:
            ClusterError: they don't within two minutes, or are lost again and again.
        """
        self._losses += 1
        if self._losses > _MOST_LOSSES:
            raise self._given_up(f"{reason}; {_MOST_LOSSES} times within one step")
        minutes = round(_SECONDS_TO_RESTART / 60)
        log_message(f"a worker was lost: {reason}; waiting until Ray has started it again, at most {minutes} minutes")
        until = time.monotonic() + _SECONDS_TO_RESTART
        for actor in self._actors:
            while not self._is_alive(actor, until - time.monotonic()):
                if time.monotonic() >= until:
                    raise self._given_up(reason)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        with suppress(HelpersLostError):  # the next call finds it too
            self._get(self._call("open"))
            log_message("all workers run again; the step is repeated")

    def end(self) -> None:
        """End the helpers."""
        for actor in self._actors:
            with suppress(Exception):  # what ends anyway
                self._ray.kill(actor)

    def _call(self, method: str, *arguments: Any) -> list[Any]:
        from ray.exceptions import RayError

        try:
            return [getattr(actor, method).remote(*arguments) for actor in self._actors]
        except RayError as error:
            raise HelpersLostError(reason_of_ray(error)) from None

    def _get(self, references: Sequence[Any]) -> Any:
        from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

        try:
            return self._ray.get(list(references))
        except NotOpenError:  # which is an error of Ray too
            raise HelpersLostError("its process ended") from None
        except RayTaskError as error:
            raise ClusterError(
                "a worker of the training failed", found=reason_of_ray(error), remedy=self._remedy()
            ) from None
        except ActorDiedError:
            raise HelpersLostError("its process ended") from None
        except ActorUnavailableError:
            raise HelpersLostError("it does not respond") from None
        except RayError as error:
            raise HelpersLostError(reason_of_ray(error)) from None

    def _is_alive(self, actor: Any, seconds: float) -> bool:
        from ray.exceptions import RayError

        try:
            return bool(self._ray.get(actor.node.remote(), timeout=max(0.1, min(10.0, seconds))))
        except RayError:
            return False

    def _given_up(self, reason: str) -> ClusterError:
        return ClusterError(
            f"one of {counted(self._plan.workers, 'worker')} was lost, and starting it again did not help",
            found=reason,
            remedy=self._remedy(),
        )

    def _remedy(self) -> str:
        resumed = command_line("train", "--resume", self._run.path)
        return f"resume from the last checkpoint: {resumed} --ray ADDRESS, with fewer --workers if it happens again"
