"""The one way from pictures to probabilities."""
