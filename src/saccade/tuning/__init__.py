"""Hyperparameter tuning of a recipe with Optuna, and a final comparison of the best settings with the recipe."""
