"""Defines the units of time that arrays of moments are computed in."""

DAY_S = 86_400.0
"""Seconds of a day."""
