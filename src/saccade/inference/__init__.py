"""The one way from images to probabilities."""
