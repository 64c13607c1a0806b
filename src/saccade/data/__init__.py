"""Datasets: images, labels, class names and splits; the image decoder; the disk cache. No TensorFlow."""
