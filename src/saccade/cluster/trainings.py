"""Several trainings on a Ray cluster: each task is one training by the plain command, on a shared file system."""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.cluster.connection import connected, reason_of_ray
from saccade.cluster.listing import ListedImage
from saccade.cluster.nodes import Needs, Node, usable_nodes
from saccade.cluster.options import ClusterOptions
from saccade.cluster.ray_data import choose_workers
from saccade.cluster.storage import place_of
from saccade.cluster.training_process import Outcome, train
from saccade.data.dataset import Dataset
from saccade.errors import ClusterError, SaccadeError
from saccade.progress import Progress, counting, log_message
from saccade.runs.environment import PACKAGES
from saccade.runs.run import Run
from saccade.runs.training_command import PlannedTraining
from saccade.sanitize import counted, printable

_SAMPLED = 20  # images of which every node must see the files
# A training of 156,074 weights on images of 32x32 pixels had a peak of 0.76 GB; the rest is for its decoding processes.
TRAINING_BYTES = 1_000_000_000
"""Memory of a training, in bytes."""
_RETRIES = 3  # of a training whose node or Ray process is lost
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_STOP = 330.0
_ERROR = re.compile(r"^(?:error: |seed \d+: failed: )(.*(?:\n  .*)*)", re.MULTILINE)


@dataclass(frozen=True)
class TrainingPlan:
    """Plan of trainings on a cluster.

    Attributes:
        nodes: the nodes, which passed all checks.
        num_trainings: number of trainings that are missing.
        at_once: number of trainings that run at the same time.
        threads: number of threads of each.
        paths: files and the folder of the results, all of which every node sees.
    """

    nodes: tuple[Node, ...]
    num_trainings: int
    at_once: int
    threads: int
    paths: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {
            "nodes": [node.to_dict() for node in self.nodes],
            "num_trainings": self.num_trainings,
            "at_once": self.at_once,
            "threads": self.threads,
            "paths": list(self.paths),
        }


@dataclass(frozen=True)
class SharedFiles:
    """Files that all nodes must see at the same path.

    Attributes:
        dataset: the data, of which some files are checked.
        others: paths of other files that the trainings read.
        out: folder of the results.
    """

    dataset: Dataset
    others: Sequence[Path]
    out: Path

    def listed(self) -> list[ListedImage]:
        """Return some images of the data, its archive or label file, and the other files."""
        data = self.dataset
        names = [name for split in data.splits.values() for name in split.names] if data.root else []
        sampled = names[:: max(1, len(names) // _SAMPLED)][:_SAMPLED]
        images = [place_of(name if "://" in name else f"{data.root}/{name}") for name in sampled]
        files = [place_of(str(path)) for path in (Path(data.source), *self.others) if path.is_file()]
        return [ListedImage(place.text, place.scheme, place.path) for place in (*images, *files)]


def plan_trainings(options: ClusterOptions, trainings: Sequence[PlannedTraining], files: SharedFiles) -> TrainingPlan:
    """Check all that `run_trainings` checks, and return the plan.

    Raises:
        ClusterError: the cluster can't be reached, or a node can't do the work.
    """
    with connected(options.address) as ray:
        nodes, workers = _checked_nodes(ray, options, len(trainings), files)
    paths = tuple(image.path for image in files.listed())
    return TrainingPlan(tuple(nodes), len(trainings), workers, options.threads, (*paths, str(files.out)))


def run_trainings(
    options: ClusterOptions, steps: Sequence[Sequence[PlannedTraining]], files: SharedFiles, *, progress: bool
) -> dict[str, SaccadeError]:
    """Run trainings on a cluster, and return the error of each that failed, by its name.

    A training whose node is lost starts again on another node, and resumes from its checkpoint.

    Args:
        options: the cluster and its use.
        steps: trainings that can run at the same time, for each step; a step needs all trainings of the steps before.
        files: files that all nodes must see.
        progress: whether to show a bar on stderr.

    Raises:
        ClusterError: the cluster can't be reached, or a node can't do the work; nothing was trained.
        KeyboardInterrupt: Ctrl-C; the trainings have been stopped.
    """
    trainings = [training for step in steps for training in step]
    errors: dict[str, SaccadeError] = {}
    if not trainings:
        return errors
    total = sum(training.epochs for training in trainings)
    with connected(options.address) as ray:
        nodes, workers = _checked_nodes(ray, options, len(trainings), files)
        with counting(counted(len(trainings), "training"), total=total, unit="epochs", shown=progress) as bar:
            for step in steps:
                if not errors:
                    errors = _run_step(ray, nodes, _Step(step, workers, options.threads), bar)
    return errors


def _checked_nodes(
    ray: Any, options: ClusterOptions, trainings: int | None, files: SharedFiles
) -> tuple[list[Node], int]:
    """Return the nodes, which can do the work, and the number of trainings at the same time.

    Args:
        ray: the module, connected.
        options: the cluster and its use.
        trainings: number of trainings; None: not known.
        files: files that all nodes must see.
    """
    needs = Needs(
        files.listed(),
        place_of(str(files.out)),
        PACKAGES,
        options.threads,
        TRAINING_BYTES,
        workers=min((number for number in (trainings, options.workers) if number is not None), default=None),
        worker="training",
    )
    nodes = usable_nodes(ray, needs)
    return nodes, sum(count for _, count in choose_workers(nodes, options.threads, options.workers))


@dataclass(frozen=True)
class _Step:
    trainings: Sequence[PlannedTraining]
    workers: int
    threads: int


def _run_step(ray: Any, nodes: Sequence[Node], step: _Step, bar: Progress) -> dict[str, SaccadeError]:
    """Run the trainings of a step, and return the errors."""
    tasks = TrainingTasks(ray, nodes, step.workers, step.threads)
    waiting = deque(step.trainings)
    errors: dict[str, SaccadeError] = {}
    running: dict[str, _Epochs] = {}
    try:
        while waiting or running:
            while waiting and len(running) < step.workers:
                training = waiting.popleft()
                tasks.start(training)
                running[training.name] = _Epochs(training)
            for name, error in tasks.ended().items():
                if error is not None:
                    errors[name] = error
                bar.update(running.pop(name).rest())
            bar.update(sum(epochs.new() for epochs in running.values()))
    except KeyboardInterrupt:
        log_message("\nstopping the trainings after their current step and saving; press Ctrl-C again to kill them")
        try:
            tasks.stop(list(running))
        finally:
            log_message("to go on: repeat the command")
        raise
    return errors


class TrainingTasks:
    """Trainings as Ray tasks.

    Args:
        ray: the module, connected.
        nodes: the nodes, for messages.
        at_once: largest number of trainings at the same time.
        threads: number of threads of each.
    """

    def __init__(self, ray: Any, nodes: Sequence[Node], at_once: int, threads: int) -> None:
        self._ray, self._nodes, self._threads = ray, nodes, threads
        self._remote = ray.remote(train).options(num_cpus=threads, max_retries=_RETRIES, scheduling_strategy="SPREAD")
        self._running: dict[str, Any] = {}
        self.at_once = at_once
        """Largest number of trainings at the same time."""

    def start(self, training: PlannedTraining) -> None:
        """Start a training; a training whose node or process is lost starts again, and resumes."""
        self._running[training.name] = self._remote.remote(list(training.words), self._threads)

    def ended(self) -> dict[str, SaccadeError | None]:
        """Wait at most a second, and return a training that has ended, with its error if it failed."""
        if not self._running:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            return {}
        ready, _ = self._ray.wait(list(self._running.values()), num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS)
        names = [name for name, reference in self._running.items() if reference in ready]
        return {name: _error_of(self._ray, self._running.pop(name), self._nodes) for name in names}

    def stop(self, names: Sequence[str]) -> None:
        """Stop trainings as Ctrl-C does, and wait until they are saved."""
        references = [self._running.pop(name) for name in names]
        for reference in references:
            self._ray.cancel(reference)
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=_SECONDS_TO_STOP)


@contextmanager
def training_tasks(options: ClusterOptions, files: SharedFiles, most: int | None) -> Iterator[TrainingTasks]:
    """Connect to a cluster, check its nodes, and yield tasks for trainings whose number is not known yet.

    Args:
        options: the cluster and its use.
        files: files that all nodes must see.
        most: largest number of trainings; None: unlimited.

    Raises:
        ClusterError: the cluster can't be reached, or a node can't do the work.
    """
    with connected(options.address) as ray:
        nodes, workers = _checked_nodes(ray, options, most, files)
        yield TrainingTasks(ray, nodes, workers if most is None else min(workers, most), options.threads)


def _error_of(ray: Any, reference: Any, nodes: Sequence[Node]) -> SaccadeError | None:
    """Return the error of a training that has ended; None if it succeeded."""
    try:
        outcome: Outcome = ray.get(reference)
    except Exception as error:  # of Ray: its processes or the node were lost again and again
        return ClusterError(
            "Ray lost the training, and starting it again did not help",
            found=reason_of_ray(error),
            remedy="repeat the command: the training continues from its checkpoint",
        )
    if outcome.code == 0:
        return None
    node = next((node.address for node in nodes if node.node_id == outcome.node_id), outcome.node_id)
    if outcome.code < 0:
        name = signal.Signals(-outcome.code).name
        return ClusterError(
            f"the training was ended by {name} on the node {node}",
            remedy="free memory there if it was short, and repeat the command: the training continues from its "
            "checkpoint",
        )
    found = _ERROR.findall(outcome.messages)
    text = found[-1] if found else outcome.messages.strip().rpartition("\n")[2] or f"exit code {outcome.code}"
    return ClusterError(f"on the node {node}: {printable(text, lines=True)}")


class _Epochs:
    """Progress of a training in epochs, by the history in its run directory."""

    def __init__(self, training: PlannedTraining) -> None:
        self._training = training
        self._seen = 0

    def new(self) -> int:
        """Return the number of epochs since the last call."""
        seen = 0
        with suppress(SaccadeError, OSError):  # there is no run yet, or not any more
            seen = min(len(Run.open(self._training.place).history()), self._training.epochs)
        new = max(0, seen - self._seen)
        self._seen += new
        return new

    def rest(self) -> int:
        """Return the number of epochs that were never seen, when the training has ended."""
        return self._training.epochs - self._seen
