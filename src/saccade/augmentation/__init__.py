"""Order of samples, augmentation and batches: pure functions of (seed, epoch, sample index)."""
