"""Measurements of this package beside the official one; `python -m benchmarks` runs them all."""
