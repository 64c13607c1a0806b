"""Recipes: the frozen value Recipe, and the named recipes, one a file."""

from __future__ import annotations

from saccade.recipes.entry import Entry, Measurement
from saccade.recipes.recipe import BackboneName, ComputeDtype, NetworkName, Phase, Recipe, Sampling
from saccade.recipes.registry import (
    ENTRIES,
    REGISTRY,
    default_recipe,
    default_recipe_reason,
    default_recipes_summary,
    get_entry,
    get_recipe,
)

__all__ = [
    "ENTRIES",
    "REGISTRY",
    "BackboneName",
    "ComputeDtype",
    "Entry",
    "Measurement",
    "NetworkName",
    "Phase",
    "Recipe",
    "Sampling",
    "default_recipe",
    "default_recipe_reason",
    "default_recipes_summary",
    "get_entry",
    "get_recipe",
]
