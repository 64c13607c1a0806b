"""Inference: from images to class probabilities, with a run or an exported file."""
