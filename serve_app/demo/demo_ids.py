"""Names users and items of the demo shop after their numbers."""

import pyarrow as pa
import pyarrow.compute as pc

from serve_app.demo.tastes import Numbers

DIGITS = 6
"""Of users and items. Larger numbers have more."""


def demo_user_id(number: int) -> str:
    return f"u{number:0{DIGITS}d}"


def demo_item_id(number: int) -> str:
    return f"i{number:0{DIGITS}d}"


def demo_ids(letter: str, numbers: Numbers, digits: int = DIGITS) -> pa.Array:
    """Ids of many: a letter, then the digits of each number."""
    text = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), digits, "0")
    return pc.binary_join_element_wise(letter, text, "")
