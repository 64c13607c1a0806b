"""Learning curve: accuracy by number of training images, its power law and the extrapolation."""

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

MULTIPLES = (2, 4)
"""Multiples of the largest size to which the curve is extrapolated. Larger multiples would be unreliable."""

MIN_GAIN = 0.01
"""Smallest gain of accuracy from twice the images for which more images help; smaller if the error is small."""

_MIN_GAIN_OF_ERROR = 0.1  # the smallest gain as a fraction of the error

Fraction = Annotated[float, Field(ge=0, le=1)]
# JSON has lists, but no tuples.
Interval = Annotated[tuple[float, float], Field(strict=False)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CurvePoint(_Value):
    """One size of a learning curve.

    Attributes:
        num_images: number of training images.
        accuracies: accuracies of the trainings, 0 to 1.
        accuracy: mean of the accuracies.
        deviation: standard deviation of the accuracies.
    """

    num_images: int
    accuracies: tuple[Fraction, ...] = Field(strict=False)
    accuracy: Fraction
    deviation: float


class Extrapolation(_Value):
    """Predicted accuracy with more images.

    Attributes:
        times: multiple of the largest size.
        num_images: number of training images.
        accuracy: accuracy by the power law, 0 to 1.
        interval: 95% interval of the accuracy.
        gain: difference from the accuracy of the largest size by the power law, -1 to 1.
        gain_interval: 95% interval of the gain.
    """

    times: int
    num_images: int
    accuracy: Fraction
    interval: Interval
    gain: float
    gain_interval: Interval


class Backtest(_Value):
    """Test of the power law: prediction of the largest size from the smaller sizes.

    Attributes:
        num_images: number of training images of the largest size.
        predicted: accuracy by the power law of the smaller sizes, 0 to 1.
        interval: 95% interval for the measured accuracy.
        measured: measured accuracy, 0 to 1.
        within: `True` if the test passes.
    """

    num_images: int
    predicted: Fraction
    interval: Interval
    measured: Fraction
    within: bool


class PowerLaw(_Value):
    """Power law: error = floor + slope * images^-exponent, with errors from 0 to 1."""

    floor: float
    slope: float
    exponent: float


class LearningCurve(_Value):
    """Learning curve.

    Attributes:
        directory: directory of the files.
        data_name: short name of the data.
        data_fingerprint: fingerprint of the data.
        recipe: recipe of the trainings. Its seed determines the seeds of all trainings.
        num_evaluated: number of held-out images that every network predicts.
        points: one point for each size, in increasing order.
        law: power law fitted to the points.
        extrapolations: predictions for two and four times the largest size.
        backtest: test of the power law on the largest size.
        verdict: effect of more images.
        summary: verdict and extrapolation as a sentence.
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
        """Paths of the written files."""
        return tuple(Path(self.directory) / name for name in ("learning_curve.json", "learning_curve.png"))


def curve_of(measured: MeasuredErrors, dataset: Dataset, recipe: Recipe, directory: Path) -> tuple[LearningCurve, Law]:
    """Return the learning curve of measured errors, and the fit of the power law for the plot."""
    law = fit_law(measured)
    largest = float(measured.num_images[-1])
    extrapolations = tuple(_extrapolated(law, largest, times) for times in MULTIPLES)
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
    """Fit the power law to all sizes except the largest, and compare its prediction with the largest size."""
    law = fit_law(measured, without=1)
    largest = float(measured.num_images[-1])
    # Error of the prediction in each bootstrap sample. Both terms are of the same held-out images.
    low, high = law.interval(law.errors[:, -1] - law.at(largest))
    accuracy = 1 - float(measured.means[-1])
    return Backtest(
        num_images=int(largest),
        predicted=1 - float(law.at(largest)[0]),
        interval=(max(0.0, accuracy + low), min(1.0, accuracy + high)),
        measured=accuracy,
        within=low <= 0 <= high,
    )


def _verdict(
    twice: Extrapolation, backtest: Backtest, error: float
) -> Literal["would help", "would hardly help", "can't be told"]:
    if not backtest.within:
        return "can't be told"
    min_gain = min(MIN_GAIN, _MIN_GAIN_OF_ERROR * error)
    if twice.gain_interval[0] >= min_gain:
        return "would help"
    return "would hardly help" if twice.gain_interval[1] < min_gain else "can't be told"


def _summary(verdict: str, twice: Extrapolation, backtest: Backtest) -> str:
    low, high = twice.interval
    low_gain, high_gain = (100 * end for end in twice.gain_interval)
    gain = (
        f"with {twice.num_images:,}, twice as many, the expected accuracy is {twice.accuracy:.1%} (95% interval "
        f"{low:.1%} to {high:.1%}), {100 * twice.gain:.1f} points ({low_gain:.1f} to {high_gain:.1f}) above the "
        f"accuracy that the power law predicts for {backtest.num_images:,}"
    )
    if not backtest.within:
        return (
            "It is unclear whether more images would help: the smaller sizes predict "
            f"{backtest.predicted:.1%} for the largest ({backtest.interval[0]:.1%} to {backtest.interval[1]:.1%}), "
            f"but {backtest.measured:.1%} was measured, so the curve does not follow a power law."
        )
    if verdict == "can't be told":
        return f"It is unclear whether more images would help: {gain}."
    return f"More images {verdict}: {gain}."
