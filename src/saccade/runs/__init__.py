"""Run: the sole reader and writer of a run directory."""
