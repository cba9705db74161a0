"""Simulated systems with state, limits and faults: builders test against them on a laptop."""
