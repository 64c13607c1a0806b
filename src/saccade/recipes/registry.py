"""The named recipes, and the default recipe for a size of images."""

from __future__ import annotations

import difflib

from saccade.errors import RecipeError, type_in_words
from saccade.recipes import accurate, classic, fast, folder, linear_probe, photo, quick, scheduled, transfer, two_phase
from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

REGISTRY: dict[str, Entry] = {
    module.ENTRY.recipe.name: module.ENTRY for module in (fast, accurate, quick, two_phase, classic, scheduled, folder)
}
"""The recipes that train a network from the beginning, by name."""

ENTRIES: dict[str, Entry] = {
    **{module.ENTRY.recipe.name: module.ENTRY for module in (photo, linear_probe)},
    **REGISTRY,
    transfer.ENTRY.recipe.name: transfer.ENTRY,
}
"""All recipes, by name."""

_DEFAULT_FOR = {
    "photo": "for images whose shorter side is above 64 pixels",
    "fast": "up to 64 pixels",
    "quick": "below 16 pixels",
}

# Photographs in all passes of fine-tuning, and most passes, by default: on `coins`, of 194 validation images, 20 passes
# over 900 photographs gave 2 points more than 12 (docs/performance.md).
_PHOTOGRAPHS = 26_000
_MAX_PASSES = 20


def get_entry(name: str) -> Entry:
    """Return the entry of a named recipe.

    Raises:
        RecipeError: there is no recipe of that name; the error suggests the nearest name.
    """
    if not isinstance(name, str):
        raise RecipeError(
            "a recipe is named, or a saccade.Recipe", expected=f"one of {', '.join(ENTRIES)}", found=type_in_words(name)
        )
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, n=1)
        raise RecipeError(
            f"there is no recipe '{name}'",
            expected=f"one of {', '.join(ENTRIES)}",
            remedy=f"did you mean '{near[0]}'?" if near else "see them all: saccade recipes",
        )
    return ENTRIES[name]


def get_recipe(name: str) -> Recipe:
    """Return the settings of a named recipe.

    Raises:
        RecipeError: there is no recipe of that name; the error suggests the nearest name.
    """
    return get_entry(name).recipe


def default_recipe(height: int, width: int, images: int | None = None) -> Recipe:
    """Return the default recipe for decoded images of this size and number.

    `fast` needs 16 pixels on each side, and its work grows with the number of pixels: above 64 pixels on the shorter
    side, the default recipe is `photo`. Few photographs are trained for more epochs (docs/performance.md).

    Args:
        height: height, in pixels.
        width: width, in pixels.
        images: number of training and validation images; None: the recipe for many images.
    """
    side = min(height, width)
    if side > 64:
        recipe = get_recipe("photo")
        least, passes = recipe.augmented_epochs, _PHOTOGRAPHS // max(1, images or _PHOTOGRAPHS)
        return recipe.with_settings({"augmented_epochs": min(max(least, passes), _MAX_PASSES)})
    return get_recipe("fast" if side >= 16 else "quick")


def default_recipe_reason(recipe: Recipe) -> str:
    """Return why `default_recipe` chooses its recipe, such as "the default up to 64 pixels"."""
    return f"the default {_DEFAULT_FOR[recipe.name]}"


def default_recipes_summary() -> str:
    """Return all default recipes with the sizes of images that each is the default for, as one clause."""
    return ", ".join(f"{name} {sizes}" for name, sizes in _DEFAULT_FOR.items())
