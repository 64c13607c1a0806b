"""Helper of a training on a Ray cluster: an actor with a replica of the training in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # Not imported before `open`: TensorFlow reads its settings from the environment when it is imported.
    from saccade.runs.checkpoints import Arrays
    from saccade.training.parallel.parallel_step import PartRequest
    from saccade.training.parallel.part_step import PartResult
    from saccade.training.parallel.replica import Replica

_Result = TypeVar("_Result")


class NotOpenError(Exception):
    """Ray has started the process of a helper again, and it is not open yet."""


@dataclass(frozen=True)
class HelperTask:
    """What a helper has to do.

    Attributes:
        run: absolute path of the run directory, which the node of the helper sees.
        data: name or absolute path of the data.
        rank: number of the worker; the first worker, 0, is no helper.
        workers: number of workers.
        environment: environment variables of TensorFlow and Saccade.
    """

    run: str
    data: str
    rank: int
    workers: int
    environment: Mapping[str, str]


class TrainingHelper:
    """Actor of a helper; after a restart by Ray, it has to be opened and loaded again."""

    def __init__(self, task: HelperTask) -> None:
        self._task = task
        self._replica: Replica | None = None
        self._failed = ""

    def node(self) -> str:
        """Return the id of the node on which the process runs."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def open(self) -> int:
        """Load the data and build the networks, if that is to be done; return the id of the process."""
        if self._replica is None:
            try:
                self._replica = _replica(self._task)
            except Exception as error:
                self._failed = _clause(error)
                raise
        return os.getpid()

    def load(self, arrays: Mapping[str, Arrays]) -> None:
        """Set all variables of network and optimizer."""
        if self._replica is not None:
            self._failed = ""
        self._do(lambda replica: replica.load(arrays))

    def compute_outputs(self) -> None:
        """Compute the outputs of frozen layers, this worker's share of them first."""
        self._do(lambda replica: replica.compute_outputs())

    def compute(self, request: PartRequest) -> PartResult | None:
        """Compute the gradient of this worker's part of a batch; None for a part without images."""
        return self._do(lambda replica: replica.compute(request))

    def apply(self, vector: NDArray[np.floating[Any]], learning_rate: float) -> None:
        """Update the weights by the sum of the vectors of all workers."""
        self._do(lambda replica: replica.apply(vector, learning_rate))

    def _do(self, work: Callable[[Replica], _Result]) -> _Result:
        """Run work on the replica. After a failure all work fails until the next load: nobody waits for updates."""
        if self._failed:
            raise RuntimeError(self._failed)
        if self._replica is None:
            raise NotOpenError
        try:
            return work(self._replica)
        except Exception as error:
            self._failed = _clause(error)
            raise


def _clause(error: Exception) -> str:
    """Return the message of an error; with the type, if the error is none of Saccade's."""
    from saccade.errors import SaccadeError

    return str(error) if isinstance(error, SaccadeError) else f"{type(error).__name__}: {error}"


def _replica(task: HelperTask) -> Replica:
    """Open the run, load its data, and build a replica of its training."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which stops after its step
    os.environ.update(task.environment)
    from saccade.keras_loading import this_process_is_our_own

    this_process_is_our_own()
    import saccade.models  # noqa: F401 - loads Keras without its notices, before the modules that import Keras by name
    from saccade.augmentation.batches import Part
    from saccade.runs.run import Run
    from saccade.runs.run_split import load_run_data, run_splits
    from saccade.training.parallel.replica import Replica
    from saccade.training.train import build_networks

    run = Run.open(task.run)
    dataset = load_run_data(run, task.data)
    splits = run_splits(run, dataset, run.split_of())
    networks = build_networks(run.recipe, dataset, splits["train"], run.environment().compute_dtype)
    if run.recipe.deterministic:
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    return Replica(networks.trained, networks.validated, run, splits, Part(task.rank, task.workers))
