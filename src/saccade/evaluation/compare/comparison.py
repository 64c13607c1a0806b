"""Comparison: what a comparison of runs found, as a value, its verdicts in words."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from saccade.data.dataset import SplitName
from saccade.evaluation.compare.significance import LEVEL, Difference
from saccade.sanitize import counted

Verdict = Literal["first better", "second better", "not distinguishable"]


@dataclass(frozen=True)
class RunGroup:
    """A recipe with all its runs, which differ by seed alone; or a single run.

    Attributes:
        name: the run's name, or the recipe's with whatever tells it from the others.
        runs: the run directories.
        recipe: the recipe's name.
        seeds: of each run.
        accuracies: of each run, on the images that all runs answered, 0 to 1.
        accuracy_interval: 95% interval of their mean: Wilson's of one run; of several for other seeds and images.
        seconds: of training, of each run, validation included.
        weights: numbers in the network.
    """

    name: str
    runs: tuple[Path, ...]
    recipe: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    accuracy_interval: tuple[float, float]
    seconds: tuple[float, ...]
    weights: int

    @property
    def accuracy(self) -> float:
        """The mean over the runs, 0 to 1."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the accuracy over the runs; None of a single one."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def minutes(self) -> float:
        """Minutes of training, the mean over the runs."""
        return statistics.fmean(self.seconds) / 60

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        return {
            "name": self.name,
            "runs": [str(path) for path in self.runs],
            "recipe": self.recipe,
            "seeds": list(self.seeds),
            "accuracy": self.accuracy,
            "deviation": self.deviation,
            "accuracy_interval": list(self.accuracy_interval),
            "accuracies": list(self.accuracies),
            "seconds": list(self.seconds),
            "weights": self.weights,
        }


@dataclass(frozen=True)
class Pair:
    """Two run groups side by side.

    Attributes:
        first: name of the one.
        second: name of the other.
        result: how far they are apart.
        adjusted_p: its probability with all pairs of the comparison taken into account (Holm).
    """

    first: str
    second: str
    result: Difference
    adjusted_p: float

    @property
    def verdict(self) -> Verdict:
        """Which is better, if that can be told at 5%."""
        if self.adjusted_p >= LEVEL:
            return "not distinguishable"
        return "second better" if self.result.difference > 0 else "first better"

    @property
    def summary(self) -> str:
        """The verdict in words."""
        low, high = self.result.interval
        difference = self.result.difference
        # Said from the one that is ahead, so that the difference is positive.
        ahead, behind = (self.second, self.first) if difference >= 0 else (self.first, self.second)
        if difference < 0:
            low, high = -high, -low
        interval = f"95% interval {100 * low:+.2f} to {100 * high:+.2f}"
        if self.verdict != "not distinguishable":
            return f"{ahead} is better than {behind} by {100 * abs(difference):.2f} points ({interval})"
        apart = f"{ahead} is ahead by {100 * abs(difference):.2f} points" if difference else "the same accuracy"
        return f"{self.first} and {self.second} are not distinguishable: {apart} ({interval})"

    @property
    def remark(self) -> str | None:
        """What has to be said beside the verdict, if anything."""
        models_p = self.result.models_p
        if self.verdict == "not distinguishable" and models_p is not None and models_p < LEVEL:
            return (
                f"these two models differ (McNemar, p = {models_p:.2g}), "
                "but by no more than other seeds or the number of pairs may explain"
            )
        if self.verdict != "not distinguishable" and not self.result.measured:
            spread = 100 * self.result.seed_spreads[0]
            return f"one run of each: their recipes may be alike if seeds lie further apart than {spread:g} points"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        result = asdict(self.result)
        for name in ("interval", "images_interval", "seed_spreads"):
            result[name] = list(result[name])
        named = {"first": self.first, "second": self.second, "verdict": self.verdict, "summary": self.summary}
        return {**named, "remark": self.remark, "adjusted_p": self.adjusted_p, **result}


@dataclass(frozen=True)
class DifferingImage:
    """An image to which the first two run groups gave different answers.

    Attributes:
        hash: of its contents, hexadecimal.
        name: its path in the data, or the data's own number; None where the data could not be loaded.
        true: its class.
        first: the class that the first took it for; of several runs, by their mean probabilities.
        second: the class that the second took it for.
        first_probability: that the first gave to its answer, 0 to 1.
        second_probability: that the second gave to its answer.
    """

    hash: str
    name: str | None
    true: str
    first: str
    second: str
    first_probability: float
    second_probability: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a comparison found.

    Attributes:
        data_name: short name of the data.
        split: the split that was answered.
        n: images that all runs answered; nothing else is compared.
        run groups: in the order in which they were named.
        pairs: all pairs of run groups, each once, in that order.
        disagreements: the images on which the answers of the first two run groups differ, in the data's order.
        notes: sentences that whoever reads the numbers should know.
        files: what was written, absolute paths.
    """

    data_name: str
    split: SplitName
    n: int
    groups: tuple[RunGroup, ...]
    pairs: tuple[Pair, ...]
    disagreements: tuple[DifferingImage, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        compared = f"{len(self.groups):,} run groups on {counted(self.n, 'image')}"
        return f"<Comparison of {compared}, {self.split} split of {self.data_name}>"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        return {
            "data": self.data_name,
            "split": self.split,
            "n": self.n,
            "run groups": [group.to_dict() for group in self.groups],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "disagreements": [asdict(image) for image in self.disagreements],
            "notes": list(self.notes),
            "files": [str(path) for path in self.files],
        }
