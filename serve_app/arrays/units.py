"""Defines the units of time that arrays of moments are computed in, and their span."""

MINUTE_S = 60.0
"""Seconds of a minute."""

DAY_S = 86_400.0
"""Seconds of a day."""

FROM_AT, UNTIL_AT = 315_532_800.0, 7_258_118_400.0
"""1980 and 2200 in epoch seconds. A number of this span is a time in one unit only: seconds,
milliseconds, microseconds or nanoseconds."""
