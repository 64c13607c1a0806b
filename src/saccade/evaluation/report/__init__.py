"""Report page and model card of a run."""
