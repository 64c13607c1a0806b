"""Time budget of a training: the plan, and its changes while the training runs."""
