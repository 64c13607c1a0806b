"""Experiments of several trainings: cross-validation and learning curves."""
