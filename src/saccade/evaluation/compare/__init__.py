"""Comparison of run groups on the same images."""
