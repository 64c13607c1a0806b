"""Training by several workers: each computes the gradient of its part of every batch, and all make the same update."""
