"""Evaluation of a run: metrics, plots, report, comparison, robustness."""
