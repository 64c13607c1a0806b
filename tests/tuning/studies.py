"""Recipes, search spaces and results that the tests of tuning share."""

from saccade.recipes import get_recipe

# The learning rate is far too small, so every other trial is better.
POOR = get_recipe("folder").with_settings({"plain_epochs": 4, "validation_split": 0.3, "learning_rate": 1e-7})
SEARCH = {"learning_rate": "0.0005..0.01", "batch_size": "16,32", "label_smoothing": None}

# The unchanged recipe is better than every trial, so there is no final comparison.
GOOD = POOR.with_settings({"learning_rate": 0.003})
SEARCH_BELOW = SEARCH | {"learning_rate": "1e-8..1e-6"}


def results(tuning):
    """Return all values of the trials that do not depend on the clock."""
    return [trial.to_dict() | {"seconds": None} for trial in tuning.trials]
