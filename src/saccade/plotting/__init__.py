"""Plots: functions that take numbers and return figures. Every package above may import them."""
