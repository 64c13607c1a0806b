"""Robustness: accuracy on corrupted images."""
