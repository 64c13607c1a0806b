"""Comparison of run groups, with its statistics."""
