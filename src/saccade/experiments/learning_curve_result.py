"""LearningCurve: what trainings on growing numbers of images came to, and what it says of still more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from saccade.data.dataset import Dataset
from saccade.experiments.power_law import Law, MeasuredErrors, fit_law
from saccade.recipes import Recipe
from saccade.sanitize import printable

TIMES = (2, 4)
"""The multiples of the largest number of images that a curve is drawn on to; no further: it would be a guess."""

WORTH = 0.01
"""The gain of accuracy by twice the images for which more of them are worth while; less where mistakes are few."""

_OF_MISTAKES = 0.1

Fraction = Annotated[float, Field(ge=0, le=1)]
# JSON has lists alone.
Interval = Annotated[tuple[float, float], Field(strict=False)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CurvePoint(_Value):
    """One size of a learning curve.

    Attributes:
        num_images: trained on.
        accuracies: of its trainings, 0 to 1.
        accuracy: their mean.
        deviation: their standard deviation.
    """

    num_images: int
    accuracies: tuple[Fraction, ...] = Field(strict=False)
    accuracy: Fraction
    deviation: float


class Extrapolation(_Value):
    """What more images would come to.

    Attributes:
        times: how many times as many as the largest size.
        num_images: how many these are.
        accuracy: that the law predicts, 0 to 1.
        interval: 95%, of it.
        gain: of accuracy over that of the largest size by the law, in parts of 1.
        gain_interval: 95%, of it.
    """

    times: int
    num_images: int
    accuracy: Fraction
    interval: Interval
    gain: float
    gain_interval: Interval


class Backtest(_Value):
    """Whether the smaller sizes would have predicted the largest.

    Attributes:
        num_images: of the largest size.
        predicted: the accuracy by the law that the smaller ones give, 0 to 1.
        interval: 95%, in which the measured accuracy was to be.
        measured: the accuracy that was measured, 0 to 1.
        within: whether it was.
    """

    num_images: int
    predicted: Fraction
    interval: Interval
    measured: Fraction
    within: bool


class PowerLaw(_Value):
    """error = floor + slope * images^-exponent, errors as parts of 1."""

    floor: float
    slope: float
    exponent: float


class LearningCurve(_Value):
    """What trainings on growing numbers of images came to.

    Attributes:
        directory: where its files are.
        data_name: short name of the data.
        data_fingerprint: of its contents.
        recipe: of the trainings, with the seed that all their seeds follow from.
        num_evaluated: images that every network was asked about; none of them was trained on.
        points: one for each size, rising.
        law: fitted to them.
        extrapolations: with twice and four times the largest size.
        backtest: of the law.
        verdict: whether more images would help.
        summary: the same in words.
    """

    directory: str
    data_name: str
    data_fingerprint: str
    recipe: Recipe
    num_evaluated: int
    points: tuple[CurvePoint, ...] = Field(strict=False)
    law: PowerLaw
    extrapolations: tuple[Extrapolation, ...] = Field(strict=False)
    backtest: Backtest
    verdict: Literal["would help", "would hardly help", "can't be told"]
    summary: str

    def __repr__(self) -> str:
        return f"<LearningCurve {self.directory}: {len(self.points)} sizes on {self.data_name}; {self.summary}>"

    @property
    def files(self) -> tuple[Path, ...]:
        """What was written."""
        return tuple(Path(self.directory) / name for name in ("learning_curve.json", "learning_curve.png"))


def curve_of(measured: MeasuredErrors, dataset: Dataset, recipe: Recipe, directory: Path) -> tuple[LearningCurve, Law]:
    """The curve of measured errors, and the laws behind it, for a drawing."""
    law = fit_law(measured)
    largest = float(measured.num_images[-1])
    extrapolations = tuple(_extrapolated(law, largest, times) for times in TIMES)
    backtest = _backtest(measured)
    verdict = _verdict(extrapolations[0], backtest, float(measured.means[-1]))
    floor, slope, exponent = (float(constant) for constant in law.constants[0])
    curve = LearningCurve(
        directory=str(directory),
        data_name=printable(dataset.name),
        data_fingerprint=dataset.fingerprint,
        recipe=recipe,
        num_evaluated=measured.incorrect[0].shape[1],
        points=tuple(
            _point(int(images), 1 - incorrect.mean(axis=1))
            for images, incorrect in zip(measured.num_images, measured.incorrect, strict=True)
        ),
        law=PowerLaw(floor=floor, slope=slope, exponent=exponent),
        extrapolations=extrapolations,
        backtest=backtest,
        verdict=verdict,
        summary=_summary(verdict, extrapolations[0], backtest),
    )
    return curve, law


def _point(images: int, accuracies: Sequence[float]) -> CurvePoint:
    return CurvePoint(
        num_images=images,
        accuracies=tuple(float(accuracy) for accuracy in accuracies),
        accuracy=float(np.mean(accuracies)),
        deviation=float(np.std(accuracies, ddof=1)),
    )


def _extrapolated(law: Law, largest: float, times: int) -> Extrapolation:
    now, then = 1 - law.at(largest), 1 - law.at(times * largest)
    low, high = law.interval(then)
    return Extrapolation(
        times=times,
        num_images=round(times * largest),
        accuracy=float(then[0]),
        interval=(max(0.0, low), min(1.0, high)),
        gain=float(then[0] - now[0]),
        gain_interval=law.interval(then - now),
    )


def _backtest(measured: MeasuredErrors) -> Backtest:
    """Fits the law to all sizes but the largest, and looks whether that lies where it should."""
    law = fit_law(measured, without=1)
    largest = float(measured.num_images[-1])
    # By how much the prediction is off, as it might have been: the images that are asked about are the same for both.
    low, high = law.interval(law.errors[:, -1] - law.at(largest))
    accuracy = 1 - float(measured.means[-1])
    # If chance alone makes the prediction be off by low to high, the measured accuracy was to be there.
    return Backtest(
        num_images=int(largest),
        predicted=1 - float(law.at(largest)[0]),
        interval=(max(0.0, accuracy + low), min(1.0, accuracy + high)),
        measured=accuracy,
        within=low <= 0 <= high,
    )


def _verdict(
    twice: Extrapolation, backtest: Backtest, mistakes: float
) -> Literal["would help", "would hardly help", "can't be told"]:
    if not backtest.within:
        return "can't be told"
    worth = min(WORTH, _OF_MISTAKES * mistakes)
    if twice.gain_interval[0] >= worth:
        return "would help"
    return "would hardly help" if twice.gain_interval[1] < worth else "can't be told"


def _summary(verdict: str, twice: Extrapolation, backtest: Backtest) -> str:
    low, high = twice.interval
    least, most = (100 * end for end in twice.gain_interval)
    gain = (
        f"with {twice.num_images:,}, twice as many, the accuracy is expected at {twice.accuracy:.1%} (95% interval "
        f"{low:.1%} to {high:.1%}), {100 * twice.gain:.1f} points ({least:.1f} to {most:.1f}) above what the same law "
        f"says of {backtest.num_images:,}"
    )
    if not backtest.within:
        return (
            "Whether more images would help can't be told from this: the smaller sizes predicted "
            f"{backtest.predicted:.1%} for the largest ({backtest.interval[0]:.1%} to {backtest.interval[1]:.1%}), "
            f"measured were {backtest.measured:.1%}, so that the curve follows no power law here."
        )
    if verdict == "can't be told":
        return f"Whether more images would help can't be told from this: {gain}."
    return f"More images {verdict}: {gain}."
