"""What the experiments are tried on."""

from dataclasses import replace

import pytest

import saccade
from saccade.data.dataset import Split


class Untouchable(Split):
    """Pictures that must not be looked at."""

    def take(self, positions):
        raise AssertionError("test pictures were looked at")


@pytest.fixture(scope="session")
def dataset(tiny_folder):
    """The three digits, with test pictures that nothing may look at."""
    loaded = saccade.load(tiny_folder)
    test = Untouchable(**vars(loaded.splits["test"]))
    return replace(loaded, splits={"train": loaded.splits["train"], "test": test})
