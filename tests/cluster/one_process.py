"""Trains a new run by several workers that all live in this process: the reference of a training on a cluster.

    SACCADE_THREADS=1 python -m tests.cluster.one_process DATA OUT WORKERS RECIPE KEY=VALUE ...

The parts of each batch are computed in turn, and their gradients are added in the order of the ranks.
"""

import sys
from contextlib import contextmanager

from saccade.augmentation.batches import Part
from saccade.data.load import load_for_recipe
from saccade.recipes import get_recipe
from saccade.runs.run_split import load_run_data, run_splits
from saccade.training.parallel.replica import Replica
from saccade.training.train import build_networks, train_with


class OneProcess:
    """Workers of one process."""

    def __init__(self, count):
        self.count = count

    @contextmanager
    def helping(self, run):
        yield Replicas([_replica(run, Part(rank, self.count)) for rank in range(1, self.count)])


class Replicas:
    """Helpers of one process."""

    def __init__(self, replicas):
        self._replicas = replicas
        self._request = None

    @property
    def count(self):
        return len(self._replicas)

    def load(self, arrays):
        for replica in self._replicas:
            replica.load(arrays)

    def compute_outputs(self):
        for replica in self._replicas:
            replica.compute_outputs()

    def begin(self, request):
        self._request = request

    def results(self):
        return [replica.compute(self._request) for replica in self._replicas]

    def apply(self, vector, learning_rate):
        for replica in self._replicas:
            replica.apply(vector, learning_rate)


def _replica(run, part):
    dataset = load_run_data(run)
    splits = run_splits(run, dataset, run.split_of())
    networks = build_networks(run.recipe, dataset, splits["train"], run.environment().compute_dtype)
    return Replica(networks.trained, networks.validated, run, splits, part)


def main(data: str, out: str, workers: str, recipe: str, *settings: str) -> None:
    chosen = get_recipe(recipe).with_settings(dict(setting.split("=") for setting in settings))
    dataset = load_for_recipe(data, chosen, progress=False)
    train_with(OneProcess(int(workers)), dataset, chosen, out=out, reuse_split=None, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
