"""Accuracy on corrupted images."""
