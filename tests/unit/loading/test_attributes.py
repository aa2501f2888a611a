import json
from datetime import timedelta
from decimal import Decimal

import pytest

from serve_app.loading.attributes import (
    AttributeKind,
    infer_attribute_kinds,
    read_attributes,
)
from serve_app.loading.csv_rows import MAX_CELL_CHARS
from serve_app.loading.rejects import Faults


@pytest.mark.parametrize(
    ("cells", "kind", "stored"),
    [
        (["12", "-3.5", None], "number", [12, -3.5, None]),
        (["12", "0.10"], "number", [12, 0.1]),
        (["007", "12"], "text", ["007", "12"]),
        (["12", "A12"], "text", ["12", "A12"]),
        (["1e5", "x"], "text", ["1e5", "x"]),
        (["123456789012345678"], "text", ["123456789012345678"]),
        (["true", "False", None], "flag", [True, False, None]),
        (["true", "1"], "text", ["true", "1"]),
        (["s|m", "l", "4"], "list", [["s", "m"], ["l"], ["4"]]),
    ],
)
def test_all_cells_of_an_attribute_get_one_type(
    cells: list[object], kind: str, stored: list[object]
) -> None:
    kinds = infer_attribute_kinds([{"x": cells[:1]}, {"x": cells[1:]}], typed=False)
    assert kinds == {"x": kind}
    assert [
        json.loads(text)["x"] for text in read_attributes({"x": cells}, kinds, Faults())
    ] == stored


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([3, 2.5, Decimal("1.5"), None], "number"),
        ([timedelta(seconds=3)], "number"),
        ([True, None], "flag"),
        ([["a"], []], "list"),
        (["7", "8"], "text"),
        ([{"a": 1}], "text"),
    ],
)
def test_cells_of_parquet_have_a_kind_by_their_type(cells: list[object], kind: str) -> None:
    assert infer_attribute_kinds([{"x": cells}], typed=True) == {"x": kind}


def test_a_column_without_cells_has_no_kind() -> None:
    assert infer_attribute_kinds([{"x": [None]}], typed=False) == {}
    assert read_attributes({"x": [None]}, {}, Faults()) == ['{"x": null}']


@pytest.mark.parametrize(
    ("kind", "cell", "stored"),
    [
        ("number", "007", 7),
        ("number", "1e3", 1000.0),
        ("number", "+.5", 0.5),
        ("number", "5.", 5.0),
        ("number", Decimal("1.5"), 1.5),
        ("number", timedelta(seconds=3), 3.0),
        ("number", 2**53, 2**53),
        ("flag", "Yes", True),
        ("flag", 0, False),
        ("list", "red", ["red"]),
        ("list", "red|blue", ["red", "blue"]),
        ("list", 7, ["7"]),
        ("list", [2**70, None, True], [str(2**70), "True"]),
        ("text", 7.0, "7"),
        ("text", True, "true"),
        ("text", ["a", "b"], "a|b"),
        ("text", {"a": [1]}, '{"a": [1]}'),
        ("text", timedelta(seconds=3), "3.0"),
        ("text", b"ab", "ab"),
    ],
)
def test_converts_cells_to_the_remembered_kind(
    kind: AttributeKind, cell: object, stored: object
) -> None:
    (text,) = read_attributes({"x": [cell]}, {"x": kind}, Faults())
    assert json.loads(text)["x"] == stored


NOT_A_NUMBER = "is not a number"
BEYOND = "is a number beyond 2^53, which would lose digits"


@pytest.mark.parametrize(
    ("kind", "cell", "fault"),
    [
        ("number", "large", NOT_A_NUMBER),
        ("number", "1_000", NOT_A_NUMBER),
        ("number", "٣", NOT_A_NUMBER),
        ("number", "infinity", NOT_A_NUMBER),
        ("text", "x" * (MAX_CELL_CHARS + 1), "is longer than 131,072 characters"),
        ("number", True, NOT_A_NUMBER),
        ("number", ["1"], NOT_A_NUMBER),
        ("number", float("inf"), NOT_A_NUMBER),
        ("number", "nan ", NOT_A_NUMBER),
        ("number", Decimal("NaN"), NOT_A_NUMBER),
        ("number", 2**53 + 1, BEYOND),
        ("number", 1e20, BEYOND),
        ("number", "18446744073709551617", BEYOND),
        ("number", -(2**200), BEYOND),
        ("flag", "maybe", "is neither true nor false"),
    ],
)
def test_rejects_cells_that_have_no_value_of_the_kind(
    kind: AttributeKind, cell: object, fault: str
) -> None:
    faults = Faults()
    read_attributes({"x": [cell]}, {"x": kind}, faults)
    assert faults[0].reason == f"attribute x {fault} (--attribute changes its kind)"
    assert faults[0].column == "x"
