"""Plots: functions of numbers that return figures."""
