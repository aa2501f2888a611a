"""Reads JSON so that every number of it can be written again."""

import json
from typing import Any

_MOST_DIGITS = 20
"""Of a whole number of 64 bits, with its sign."""


def read_json(raw: bytes | str) -> Any:
    """The value; a whole number of more than 64 bits becomes a float, infinite beyond 1e308.

    Raises:
        ValueError: no JSON, or nested too deeply.
    """
    try:
        return json.loads(raw, parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole_number(digits: str) -> int | float:
    # Python refuses to convert thousands of digits.
    if len(digits) > _MOST_DIGITS:
        return float(digits)
    whole = int(digits)
    return whole if -(2**63) <= whole < 2**63 else float(whole)
