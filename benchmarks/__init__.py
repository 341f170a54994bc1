"""Measurements. `make bench` runs them all: ratios to a floor of the same run, so that a slow machine is no excuse."""
