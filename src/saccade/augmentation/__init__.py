"""The order of samples, their augmentation, and batches: pure functions of (seed, epoch, sample index)."""
