"""Entry: a named recipe with its purpose, origin and measured result."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.recipes.recipe import Recipe


@dataclass(frozen=True)
class Measurement:
    """Measured result of a recipe on the test split.

    Attributes:
        data: name of the data.
        epochs: number of epochs of the training.
        accuracy: test accuracy, 0 to 1; mean over the seeds.
        interval: 95% Wilson interval of the accuracy.
        num_images: number of test images.
        seeds: number of trainings, each with another seed.
        minutes: wall-clock time of the whole command.
        seconds_per_epoch: median over the epochs, validation included.
        peak_memory_mb: largest resident size of the process, in megabytes (10^6 bytes).
        machine: processor and software of the measurement.
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
        recipe: settings.
        purpose: purpose in one sentence.
        origin: publication or tutorial that the recipe is based on.
        network: architecture in one line.
        parameters: number of weights for images of 32x32 pixels, three channels and ten classes.
        measured: measured result; None where there is no measurement.
        unmeasured: sentence in place of a missing measurement.
    """

    recipe: Recipe
    purpose: str
    origin: str
    network: str
    parameters: int
    measured: Measurement | None
    unmeasured: str = ""
