"""Trainings of `saccade train --seeds` and `--folds` on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_line
from saccade.cli.ray_options import print_training_plan

if TYPE_CHECKING:
    from saccade.cluster.options import ClusterOptions
    from saccade.cluster.trainings import SharedFiles
    from saccade.data.dataset import Dataset
    from saccade.experiments.cross_validation import CrossValidation
    from saccade.recipes import Recipe
    from saccade.runs.training_command import PlannedTraining
    from saccade.training.seeds import SeedTraining

# Parameters of the command that a task does not get, or gets with a value of its own.
_NOT_PASSED_ON = frozenset({"address", "workers", "threads", "dry_run"})
_FILES = ("fixes", "weights")
_RUNS = ("reuse_split", "source")


@dataclass(frozen=True)
class ClusterJob:
    """Command that trains on a cluster.

    Attributes:
        context: context of `saccade train`, with its parameters.
        options: the cluster and its use.
        dry_run: whether to print the plan and train nothing.
        as_json: whether to print JSON.
    """

    context: click.Context
    options: ClusterOptions
    dry_run: bool
    as_json: bool

    def train_seeds(self, dataset: Dataset, seeds: int, recipe: Recipe, out: str) -> Iterator[SeedTraining]:
        """Train the missing runs of `train_seeds` on the cluster, and yield the result of each seed in order."""
        from saccade.runs.run import Run, has_ended, is_run
        from saccade.runs.training_command import PlannedTraining
        from saccade.training.seeds import SeedTraining, plan_seeds

        planned = {
            method.recipe.seed: place
            for method, place in plan_seeds(dataset, seeds, recipe, os.path.abspath(out))  # noqa: PTH100 - keeps links
            if place is not None
        }
        before = [seed for seed, place in planned.items() if is_run(place) and has_ended(Run.open(place))]
        trainings = [
            PlannedTraining(f"seed {seed}", self._words(dataset, seeds=1, seed=seed), place, recipe.epochs)
            for seed, place in planned.items()
            if seed not in before
        ]
        errors = self._run([trainings], self._files(dataset, out))
        for seed, place in planned.items() if not self.dry_run else ():
            error = errors.get(f"seed {seed}")
            # The path as the command line has it, as without a cluster.
            run = None if error is not None else Run.open(Path(out) / place.name)
            yield SeedTraining(seed, run, error, was_there=seed in before)

    def train_folds(self, dataset: Dataset, cross_validation: CrossValidation) -> None:
        """Train the missing folds of a cross-validation on the cluster, then the network on all images.

        Raises:
            ClusterError: a training failed.
        """
        from saccade.errors import ClusterError
        from saccade.runs.training_command import PlannedTraining

        if cross_validation.is_finished and not self.dry_run:
            return
        place, epochs = cross_validation.place, cross_validation.recipe.epochs
        folds = [
            PlannedTraining(
                f"fold {fold + 1}", self._words(dataset, only_fold=fold + 1), cross_validation.fold_place(fold), epochs
            )
            for fold in cross_validation.missing_folds
        ]
        last = PlannedTraining("the training on all images", self._words(dataset), place, epochs)
        steps = [[], []] if cross_validation.is_finished else [folds, [last]]
        errors = self._run(steps, self._files(dataset, str(place)))
        for name, error in errors.items():
            print_line("to train the missing parts: repeat the command", err=True)
            raise ClusterError(f"{name} failed: {error}")

    def _run(self, steps: list[list[PlannedTraining]], files: SharedFiles) -> Mapping[str, Any]:
        from saccade.cluster.trainings import plan_trainings, run_trainings

        if self.dry_run:
            trainings = [training for step in steps for training in step]
            print_training_plan(plan_trainings(self.options, trainings, files), as_json=self.as_json)
            return {}
        return run_trainings(self.options, steps, files, progress=True)

    def _words(self, dataset: Dataset, **changed: Any) -> tuple[str, ...]:
        """Return the words of the plain command of a part of the work, with absolute paths."""
        values = {
            **self.context.params, "data": dataset.source, "as_json": True, **self._absolute("out", *_FILES, *_RUNS),
            **changed,
        }  # fmt: skip
        words = ["train"]
        for parameter in self.context.command.params:
            name, value = str(parameter.name), values.get(str(parameter.name))
            if name in _NOT_PASSED_ON or value is None or value is False:
                continue
            if isinstance(parameter, click.Argument):
                words.append(value)
            elif name == "settings":
                words += [f"--set={key}={text}" for key, text in value.items()]
            else:
                words.append(parameter.opts[0] if value is True else f"{parameter.opts[0]}={value}")
        return tuple(words)

    def _absolute(self, *names: str) -> dict[str, str]:
        """Return the absolute paths of parameters that are paths; a source may be the name of a network."""
        paths = {name: self.context.params[name] for name in names if self.context.params[name] is not None}
        return {
            name: os.path.abspath(path)  # noqa: PTH100 - keeps symbolic links
            for name, path in paths.items()
            if name != "source" or Path(path).exists()
        }

    def _files(self, dataset: Dataset, out: str) -> SharedFiles:
        """Return the files that all nodes must see."""
        from saccade.cluster.trainings import SharedFiles

        named = [Path(path) for path in self._absolute(*_FILES, *_RUNS).values()]
        others = [path / "recipe.json" if path.is_dir() else path for path in named]
        return SharedFiles(dataset, others, Path(os.path.abspath(out)))  # noqa: PTH100 - keeps symbolic links
