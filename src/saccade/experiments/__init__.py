"""Questions that take several trainings to answer: how good a network of few pictures is, whether more would help."""
