"""Recipes with different networks, for tests of networks."""

import pytest

from saccade.recipes import REGISTRY

# `accurate` is `fast` with more channels; `classic` is `two-phase` with more epochs.
ONE_OF_EACH_NETWORK = [
    pytest.param(name, marks=[pytest.mark.nightly] * (name in ("accurate", "classic"))) for name in sorted(REGISTRY)
]
"""Every recipe of the registry; the daily tests take one recipe of each network."""
