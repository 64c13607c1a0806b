"""Training: from data and a recipe to a run."""
