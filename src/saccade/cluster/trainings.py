"""Several trainings on a Ray cluster: each task is one training by the plain command, on a shared file system."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
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
class Training:
    """A training of the command.

    Attributes:
        name: name in messages, such as "seed 3".
        words: words of its command line after `saccade`, with absolute paths.
        place: run directory, which all nodes see.
        epochs: number of epochs, for the progress.
    """

    name: str
    words: tuple[str, ...]
    place: Path
    epochs: int


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


def plan_trainings(options: ClusterOptions, trainings: Sequence[Training], files: SharedFiles) -> TrainingPlan:
    """Check all that `run_trainings` checks, and return the plan.

    Raises:
        ClusterError: the cluster can't be reached, or a node can't do the work.
    """
    with connected(options.address) as ray:
        nodes, workers = _checked_nodes(ray, options, trainings, files)
    paths = tuple(image.path for image in files.listed())
    return TrainingPlan(tuple(nodes), len(trainings), workers, options.threads, (*paths, str(files.out)))


def run_trainings(
    options: ClusterOptions, steps: Sequence[Sequence[Training]], files: SharedFiles, *, progress: bool
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
        nodes, workers = _checked_nodes(ray, options, trainings, files)
        with counting(counted(len(trainings), "training"), total=total, unit="epochs", shown=progress) as bar:
            for step in steps:
                if not errors:
                    errors = _run_step(ray, nodes, _Step(step, workers, options.threads), bar)
    return errors


def _checked_nodes(
    ray: Any, options: ClusterOptions, trainings: Sequence[Training], files: SharedFiles
) -> tuple[list[Node], int]:
    """Return the nodes, which can do the work, and the number of trainings at the same time."""
    needs = Needs(
        files.listed(),
        place_of(str(files.out)),
        PACKAGES,
        options.threads,
        TRAINING_BYTES,
        workers=min(len(trainings), options.workers or len(trainings)),
        worker="training",
    )
    nodes = usable_nodes(ray, needs)
    return nodes, sum(count for _, count in choose_workers(nodes, options.threads, options.workers))


@dataclass(frozen=True)
class _Step:
    trainings: Sequence[Training]
    workers: int
    threads: int


def _run_step(ray: Any, nodes: Sequence[Node], step: _Step, bar: Progress) -> dict[str, SaccadeError]:
    """Run the trainings of a step, and return the errors."""
    remote = ray.remote(train).options(num_cpus=step.threads, max_retries=_RETRIES, scheduling_strategy="SPREAD")
    waiting = deque(step.trainings)
    errors: dict[str, SaccadeError] = {}
    running: dict[Any, tuple[Training, _Epochs]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < step.workers:
                training = waiting.popleft()
                running[remote.remote(list(training.words), step.threads)] = (training, _Epochs(training))
            ended, _ = ray.wait(list(running), num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS)
            for reference in ended:
                training, epochs = running.pop(reference)
                error = _error_of(ray, reference, nodes)
                if error is not None:
                    errors[training.name] = error
                bar.update(epochs.rest())
            bar.update(sum(epochs.new() for _, epochs in running.values()))
    except KeyboardInterrupt:
        _stop(ray, list(running))
        raise
    return errors


def _stop(ray: Any, running: Sequence[Any]) -> None:
    """Stop trainings as Ctrl-C does, and wait until they are saved. A second Ctrl-C kills them."""
    log_message("\nstopping the trainings after their current step and saving; press Ctrl-C again to kill them")
    try:
        for reference in running:
            ray.cancel(reference)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=_SECONDS_TO_STOP)
    finally:
        log_message("to go on: repeat the command")


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

    def __init__(self, training: Training) -> None:
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
