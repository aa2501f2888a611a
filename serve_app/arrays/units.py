"""Defines the units of time that arrays of moments are computed in."""

MINUTE_S = 60.0
"""Seconds of a minute."""

DAY_S = 86_400.0
"""Seconds of a day."""
