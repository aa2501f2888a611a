import numpy as np
import pytest

from serve_app.arrays.columns import (
    FlagColumn,
    NumberColumn,
    PatchedColumn,
    TagsColumn,
    TextColumn,
    kind_of,
)
from serve_app.live.patched_columns import changed_attribute, changed_tags, values_at

ROWS = np.array([0, 2], np.int32)
ALL = np.arange(3, dtype=np.int32)


@pytest.mark.parametrize(
    ("column", "kind", "given", "expected"),
    [
        (NumberColumn(np.array([1.0, 2, 3])), "number", [5, 10**400], [5.0, 2.0, None]),
        (NumberColumn(np.array([1.0, 2, 3])), "number", [True, None], [None, 2.0, None]),
        (FlagColumn.of([True, False, None]), "flag", [None, 1], [None, False, None]),
        (TextColumn.of(["a", "b", None]), "text", ["c", 7], ["c", "b", "7"]),
        (TagsColumn.of([["x"], [], ["y"]]), "list", [["z", "a"], "z"], [("a", "z"), (), ()]),
    ],
)
def test_takes_the_values_of_its_kind_and_no_others(column, kind, given, expected):
    changed = changed_attribute(column, ROWS, given, kind, 3)

    assert values_at(changed, ALL) == expected


def test_an_attribute_that_no_item_has_makes_no_column():
    assert changed_attribute(None, ROWS, [None, None], "text", 3) is None


def test_equal_values_change_nothing():
    column = TagsColumn.of([["x", "y"], [], []])

    assert changed_tags(column, ROWS, [("y", "x"), ()]) is column


def test_a_kind_that_a_load_changed_converts_what_it_can():
    column = TextColumn.of(["1.5", "2", "many"])

    changed = changed_attribute(column, ROWS[:1], [7], "number", 3)

    assert kind_of(changed) is NumberColumn
    assert values_at(changed, ALL) == [7.0, 2.0, None]


def test_words_that_no_row_has_any_more_are_dropped():
    column = TextColumn.of(["a", "b", "c"])
    for i in range(300):
        column = changed_attribute(column, ROWS[:1], [f"word {i}"], "text", 3)

    assert isinstance(column, PatchedColumn)
    assert values_at(column, ALL) == ["word 299", "b", "c"]
    assert len(column.patch.vocabulary) < 100
