"""Batch-normalization folding."""
