"""Comparison: the result of a comparison of runs, with its verdicts."""

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
    """Runs of one recipe that differ only by seed, or a single run.

    Attributes:
        name: name of the run, or name of the recipe with the settings that differ between the run groups.
        runs: run directories.
        recipe: name of the recipe.
        seeds: seed of each run.
        accuracies: accuracy of each run on the images that all runs predicted, 0 to 1.
        accuracy_interval: 95% interval of the mean accuracy: the Wilson interval of a single run; for several runs, an
            interval over other seeds and other images.
        seconds: training time of each run, validation included, in seconds.
        weights: number of weights of the network.
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
        """Mean accuracy over the runs, 0 to 1."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the accuracy over the runs; None for a single run."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def minutes(self) -> float:
        """Mean training time over the runs, in minutes."""
        return statistics.fmean(self.seconds) / 60

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON can represent them."""
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
    """Comparison of two run groups.

    Attributes:
        first: name of the first run group.
        second: name of the second run group.
        result: difference of the accuracies, with its statistics.
        adjusted_p: p-value of the difference, adjusted for all pairs of the comparison (Holm).
    """

    first: str
    second: str
    result: Difference
    adjusted_p: float

    @property
    def verdict(self) -> Verdict:
        """Verdict at the 5% level."""
        if self.adjusted_p >= LEVEL:
            return "not distinguishable"
        return "second better" if self.result.difference > 0 else "first better"

    @property
    def summary(self) -> str:
        """Verdict in words, with the difference and its interval."""
        difference = self.result.difference
        # The sentence names the better run group first, so that the difference is positive.
        ahead, behind = (self.second, self.first) if difference >= 0 else (self.first, self.second)
        low, high = self.of_better(self.result.interval)
        interval = f"95% interval {100 * low:+.2f} to {100 * high:+.2f}"
        if self.verdict != "not distinguishable":
            return f"{ahead} is better than {behind} by {100 * abs(difference):.2f} points ({interval})"
        apart = f"{ahead} is ahead by {100 * abs(difference):.2f} points" if difference else "the same accuracy"
        return f"{self.first} and {self.second} are not distinguishable: {apart} ({interval})"

    def of_better(self, interval: tuple[float, float]) -> tuple[float, float]:
        """Return an interval of the difference, the second run group minus the first, as the better one's lead."""
        low, high = interval
        return (low, high) if self.result.difference >= 0 else (-high, -low)

    @property
    def remark(self) -> str | None:
        """Remark on the verdict, if any."""
        models_p = self.result.models_p
        if self.verdict == "not distinguishable" and models_p is not None and models_p < LEVEL:
            return (
                f"these two models differ (McNemar, p = {models_p:.2g}), but the difference can be explained by the "
                "seeds or by the number of pairs"
            )
        if self.verdict != "not distinguishable" and not self.result.measured:
            spread = 100 * self.result.seed_spreads[0]
            return f"one run of each: the verdict assumes a standard deviation over seeds of {spread:g} points"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON can represent them."""
        result = asdict(self.result)
        for name in ("interval", "images_interval", "seed_spreads"):
            result[name] = list(result[name])
        names = {"first": self.first, "second": self.second, "verdict": self.verdict, "summary": self.summary}
        return {**names, "remark": self.remark, "adjusted_p": self.adjusted_p, **result}


@dataclass(frozen=True)
class Disagreement:
    """An image on which the predictions of the first two run groups differ.

    Attributes:
        hash: content hash of the image, hexadecimal.
        name: path of the image in the data, or the data's own number; None if the data could not be loaded.
        true: true class.
        first: predicted class of the first run group, from the mean probabilities of its runs.
        second: predicted class of the second run group, from the mean probabilities of its runs.
        first_probability: probability of the first run group's predicted class, 0 to 1.
        second_probability: probability of the second run group's predicted class, 0 to 1.
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
    """Result of a comparison.

    Attributes:
        data_name: short name of the data.
        split: name of the split.
        n: number of images that all runs predicted; only these images are compared.
        groups: run groups, in the order of the arguments.
        pairs: all pairs of run groups, in the same order.
        disagreements: images on which the first two run groups disagree, in the order of the data.
        notes: notes for readers of the numbers.
        files: absolute paths of the written files.
    """

    data_name: str
    split: SplitName
    n: int
    groups: tuple[RunGroup, ...]
    pairs: tuple[Pair, ...]
    disagreements: tuple[Disagreement, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        compared = f"{len(self.groups):,} run groups on {counted(self.n, 'image')}"
        return f"<Comparison of {compared}, {self.split} split of {self.data_name}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON can represent them."""
        return {
            "data": self.data_name,
            "split": self.split,
            "n": self.n,
            "groups": [group.to_dict() for group in self.groups],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "disagreements": [asdict(image) for image in self.disagreements],
            "notes": list(self.notes),
            "files": [str(path) for path in self.files],
        }
