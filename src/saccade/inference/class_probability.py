"""A class and its probability."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability.

    Attributes:
        class_name: of the class.
        probability: 0 to 1.
    """

    class_name: str
    probability: float
