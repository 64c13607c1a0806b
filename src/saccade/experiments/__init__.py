"""Questions that take several trainings to answer: how good a network of few images is, whether more would help."""
