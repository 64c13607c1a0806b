"""Entry: what a named recipe says of itself, beside its settings."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.recipes.recipe import Recipe


@dataclass(frozen=True)
class Measurement:
    """What a recipe reached, measured on the test split.

    Attributes:
        data: what it was trained on.
        epochs: how many epochs were run.
        accuracy: on the test split, 0 to 1.
        interval: 95% Wilson interval of that accuracy.
        num_images: test images scored.
        seeds: trainings that the figure is a mean of.
        minutes: wall-clock time of the whole command.
        seconds_per_epoch: median over the epochs, validation included.
        peak_memory_mb: largest resident size of the process, in megabytes (10^6 bytes).
        machine: where it was measured.
    """

    data: str
    epochs: int
    accuracy: float
    interval: tuple[float, float]
    num_images: int
    seeds: int
    minutes: float
    seconds_per_epoch: float
    peak_memory_mb: int
    machine: str


@dataclass(frozen=True)
class Entry:
    """A named recipe.

    Attributes:
        recipe: its settings.
        purpose: what it is for, in one sentence.
        origin: where it comes from.
        network: the architecture in one line.
        parameters: number of weights for images of 32x32 pixels, three channels and ten classes.
        measured: what it reached; None while nobody has measured it.
        unmeasured: what can be said instead of it.
    """

    recipe: Recipe
    purpose: str
    origin: str
    network: str
    parameters: int
    measured: Measurement | None
    unmeasured: str = ""
