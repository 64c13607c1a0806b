"""From data and a recipe to a run."""
