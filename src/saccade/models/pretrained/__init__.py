"""Pretrained weights that are part of the package, and their reader."""
