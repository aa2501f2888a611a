"""Finds conditions on one field that no item can meet together."""

from collections.abc import Iterable, Sequence

from serve_app.domain.filters.masks import COMPARISONS, Condition, Operand


def exclude_all(conditions: Sequence[Condition]) -> bool:
    """Tells whether the conditions of one field contradict each other, whatever the catalogue."""
    wanted = [set(c.operands) for c in conditions if c.operator == "in"]
    unwanted = _operands(conditions, "not_in", "none")
    if _operands(conditions, "all") & unwanted:
        return True
    # Each list of values and of tags must have one that the other conditions leave.
    any_of = [set(c.operands) for c in conditions if c.operator == "any"]
    if any(tags <= unwanted for tags in any_of):
        return True
    bounds = [c for c in conditions if c.operator in COMPARISONS]
    if wanted:
        left = set.intersection(*wanted) - unwanted
        return not any(_is_within(value, bounds) for value in left)
    return _is_empty(bounds)


def _operands(conditions: Iterable[Condition], *operators: str) -> set[Operand]:
    return {operand for c in conditions if c.operator in operators for operand in c.operands}


def _is_within(value: Operand, bounds: Iterable[Condition]) -> bool:
    return all(COMPARISONS[c.operator](value, c.operands[0]) for c in bounds)  # type: ignore[arg-type]


def _is_empty(bounds: Sequence[Condition]) -> bool:
    """Tells whether no number meets all comparisons."""
    least = [(float(c.operands[0]), c.operator == "gt") for c in bounds if c.operator[0] == "g"]
    most = [(float(c.operands[0]), c.operator == "lt") for c in bounds if c.operator[0] == "l"]
    if not least or not most:
        return False
    # Of equal bounds the strict one counts.
    (low, is_low_strict), (high, is_high_strict) = max(least), min(most, key=_strict_first)
    return low > high or (low == high and (is_low_strict or is_high_strict))


def _strict_first(bound: tuple[float, bool]) -> tuple[float, bool]:
    return bound[0], not bound[1]
