"""Audit of a dataset: label errors, duplicates, leaks, shortcuts, and problems of images and folders."""
