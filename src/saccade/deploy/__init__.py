"""A run as files that open without Saccade."""
