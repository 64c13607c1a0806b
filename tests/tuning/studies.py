"""What the tests of tuning share: a recipe that is easily made better, and what of a study must be the same."""

from saccade.recipes import get_recipe

# Its learning rate is far too small: whatever else is tried does better.
POOR = get_recipe("folder").with_settings({"plain_epochs": 4, "validation_split": 0.3, "learning_rate": 1e-7})
SEARCH = {"learning_rate": "0.0005..0.01", "batch_size": "16,32", "label_smoothing": None}

# The other way round: the recipe as it is stays the best, so that nothing is trained at the end.
GOOD = POOR.with_settings({"learning_rate": 0.003})
SEARCH_BELOW = SEARCH | {"learning_rate": "1e-8..1e-6"}


def results(tuning):
    """Of each trial all that does not depend on the clock."""
    return [trial.to_dict() | {"seconds": None} for trial in tuning.trials]
