"""Which rows of a file can be loaded, and in what form."""

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from serve_app.loading.attributes import infer_attribute_kinds, read_attributes
from serve_app.loading.csv_and_parquet import Chunk
from serve_app.loading.rows import (
    DESCRIBED,
    CheckedRows,
    Limits,
    check_described,
    check_interactions,
    event_id_of,
)

LIMITS = Limits(earliest_at=6e8, latest_at=1.8e9, max_rating=5)


def chunk(**columns: Sequence[object]) -> Chunk:
    n = len(next(iter(columns.values())))
    return Chunk(range(2, n + 2), columns, (), 1.0)


def check_item(**cells: object) -> CheckedRows:
    given = chunk(**{"item_id": ["pan"]} | {name: [cell] for name, cell in cells.items()})
    return check_described(given, DESCRIBED["items"], {})


def check_interaction(**cells: object) -> CheckedRows:
    told = {"user_id": "ann", "item_id": "pan", "timestamp": "1700000000"} | cells
    return check_interactions(chunk(**{name: [cell] for name, cell in told.items()}), LIMITS)


def reason(checked: CheckedRows) -> str:
    assert checked.rows == []
    ((line, told),) = checked.rejects
    assert line == 2
    return told


def value(checked: CheckedRows, position: int = -1) -> object:
    assert checked.rejects == []
    (row,) = checked.rows
    return row[position]


@pytest.mark.parametrize(
    ("item_id", "kept"),
    [("pan", "pan"), (7, "7"), (7.0, "7"), (b"pan", "pan"), ("x" * 128, "x" * 128), ("ø 1", "ø 1")],
)
def test_takes_ids_of_any_kind_as_text(item_id: object, kept: str) -> None:
    assert value(check_item(item_id=item_id)) == kept


@pytest.mark.parametrize(
    ("item_id", "told"),
    [
        (None, "item_id is empty"),
        ("", "item_id is empty"),
        ("x" * 129, "item_id is longer than 128 characters"),
        ("a\0b", "item_id has control characters or is not UTF-8"),
        ("a\nb", "item_id has control characters or is not UTF-8"),
        ("a\udce4", "item_id has control characters or is not UTF-8"),
        (b"\xe4", "item_id has control characters or is not UTF-8"),
    ],
)
def test_rejects_what_cannot_be_an_id(item_id: object, told: str) -> None:
    assert reason(check_item(item_id=item_id)) == told


@pytest.mark.parametrize(
    ("price", "kept"),
    [("12.5", 12.5), (3, 3.0), ("0", 0.0), (None, None), (Decimal("2.5"), 2.5), ("1e-50", 0.0)],
)
def test_takes_numbers_from_zero_as_prices(price: object, kept: float | None) -> None:
    assert value(check_item(price=price)) == kept


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ("cheap", "price is not a number"),
        ("1,200", "price is not a number"),
        ("inf", "price is not a number"),
        ("-inf", "price is not a number"),
        ("nan", "price is not a number"),
        ("1e400", "price is not a number"),
        ([1], "price is not a number"),
        ("-0.01", "price is negative"),
        ("1e13", "price is above 1e+12"),
    ],
)
def test_rejects_what_cannot_be_a_price(price: object, told: str) -> None:
    assert reason(check_item(price=price)) == told


@pytest.mark.parametrize(
    ("in_stock", "kept"),
    [("true", True), ("No", False), ("1", True), (0, False), (True, True), (None, None)],
)
def test_takes_the_usual_ways_to_say_yes_and_no(in_stock: object, kept: bool | None) -> None:
    assert value(check_item(in_stock=in_stock)) == kept


def test_rejects_what_says_neither_yes_nor_no() -> None:
    assert reason(check_item(in_stock="some")) == "in_stock is neither true nor false"


@pytest.mark.parametrize(
    ("tags", "kept"),
    [("a|b c| |", ["a", "b c"]), (["a", None, ""], ["a"]), (None, []), ("one", ["one"])],
)
def test_takes_lists_and_texts_with_bars_as_tags(tags: object, kept: list[str]) -> None:
    assert value(check_item(tags=tags)) == kept


@pytest.mark.parametrize("column", ["title", "category", "tags"])
@pytest.mark.parametrize("text", ["a\0", "\udce4"])
def test_rejects_text_that_cannot_be_stored(column: str, text: str) -> None:
    told = reason(check_item(**{column: text}))
    assert told == f"{column} has a NUL character or is not UTF-8"


def test_a_title_may_have_several_lines() -> None:
    assert value(check_item(title="a\nb\tc")) == "a\nb\tc"


@pytest.mark.parametrize(
    ("timestamp", "kept"),
    [
        ("1700000000", 1.7e9),
        ("1700000000.5", 1_700_000_000.5),
        (1_700_000_000, 1.7e9),
        ("2023-11-14T22:13:20Z", 1.7e9),
        ("2023-11-14 22:13:20", 1.7e9),
        ("2023-11-14T23:13:20.250+01:00", 1_700_000_000.25),
        ("2023-11-14", 1_699_920_000.0),
    ],
)
def test_takes_iso_8601_and_epoch_seconds_as_times(timestamp: object, kept: float) -> None:
    assert value(check_interaction(timestamp=timestamp), position=6) == kept


@pytest.mark.parametrize(
    ("timestamp", "told"),
    [
        (None, "timestamp is empty"),
        ("now", "timestamp is neither ISO 8601 nor epoch seconds"),
        ("14.11.2023", "timestamp is neither ISO 8601 nor epoch seconds"),
        ("2023-02-30", "timestamp is neither ISO 8601 nor epoch seconds"),
        ("nan", "timestamp is neither ISO 8601 nor epoch seconds"),
        ("20231114", "timestamp is before 1989-01-05"),
        ("1700000000000", "timestamp is after 2027-01-15"),
        ("inf", "timestamp is after 2027-01-15"),
    ],
)
def test_rejects_times_that_cannot_be(timestamp: object, told: str) -> None:
    assert reason(check_interaction(timestamp=timestamp)) == told


def test_an_item_may_be_older_than_any_interaction_or_still_to_come() -> None:
    assert value(check_item(created_at="1911-05-01")) == -1_851_552_000.0
    assert value(check_item(created_at="2199-01-01")) == 7_226_582_400.0
    assert value(check_item(created_at=None)) is None


def test_rejects_a_date_that_no_calendar_has() -> None:
    assert reason(check_item(created_at=1.7e12)) == "created_at is after 9999-12-31"
    assert reason(check_item(created_at=-1e12)) == "created_at is before 0001-01-01"


@pytest.mark.parametrize(("kind", "code"), [("view", 0), ("Rating", 4), ("cart", 2), (None, 3)])
def test_an_interaction_is_a_purchase_unless_it_says_otherwise(kind: object, code: int) -> None:
    assert value(check_interaction(type=kind, value="1"), position=4) == code


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"type": "wish"}, "type is none of view, click, cart, purchase, rating"),
        ({"type": "rating"}, "a rating without a value"),
        ({"type": "rating", "value": "5.5"}, "a rating above 5"),
        ({"value": "-1"}, "value is negative"),
        ({"value": "many"}, "value is not a number"),
        ({"user_id": None}, "user_id is empty"),
        ({"event_id": "e" * 129}, "event_id is longer than 128 characters"),
        ({"session_id": "a\tb"}, "session_id has control characters or is not UTF-8"),
    ],
)
def test_rejects_interactions_that_cannot_be(cells: dict[str, object], told: str) -> None:
    assert reason(check_interaction(**cells)) == told


def test_a_quantity_may_be_above_the_highest_rating() -> None:
    assert value(check_interaction(value="24"), position=5) == 24.0


def test_keeps_an_event_id_and_makes_one_where_there_is_none() -> None:
    assert value(check_interaction(event_id="e1"), position=1) == "e1"
    made = value(check_interaction(), position=1)
    assert made == event_id_of("ann", "pan", 1.7e9, 3, None, None)
    assert made == "065521ae7bbdb83bca64cfb54aac86ae"


def test_made_event_ids_tell_apart_whatever_differs() -> None:
    ids = {
        event_id_of("ann", "pan", 1.0, 3, None, None),
        event_id_of("annp", "an", 1.0, 3, None, None),
        event_id_of("ann", "pan", 1.5, 3, None, None),
        event_id_of("ann", "pan", 1.0, 4, None, None),
        event_id_of("ann", "pan", 1.0, 3, 1.0, None),
        event_id_of("ann", "pan", 1.0, 3, None, "s"),
    }
    assert len(ids) == 6


def test_a_row_keeps_the_first_reason_and_the_others_are_kept_in_order() -> None:
    given = Chunk(
        [2, 3, 6, 7],
        {"item_id": [None, "a", "b", "c"], "price": ["x", "1", "-1", "2"]},
        [(4, "the row has 1 cells, the header 2")],
        1.0,
    )
    checked = check_described(given, DESCRIBED["items"], {})

    assert checked.rows == [(3, "a", 1.0), (7, "c", 2.0)]
    assert checked.rejects == [
        (2, "item_id is empty"),
        (4, "the row has 1 cells, the header 2"),
        (6, "price is negative"),
    ]


def test_a_chunk_without_a_whole_row_gives_its_misshapen_ones() -> None:
    empty = {name: [] for name in ("user_id", "item_id", "timestamp", "type", "value")}
    checked = check_interactions(Chunk([], empty, [(2, "short")], 1.0), LIMITS)
    assert checked == CheckedRows([], [(2, "short")])


def test_further_columns_become_attributes_even_with_names_of_the_database() -> None:
    described = DESCRIBED["items"]
    names = ("updated_at", "item_id", "price", "item_row")
    assert described.columns(names) == ("item_id", "price", "attributes")
    assert described.further(names) == ("updated_at", "item_row")
    assert described.columns(("item_id", "tags", "title")) == ("item_id", "title", "tags")


@pytest.mark.parametrize(
    ("cells", "kind", "stored"),
    [
        (["12", "-3.5", None], "number", [12, -3.5, None]),
        (["12", "0.10"], "number", [12, 0.1]),
        (["007", "12"], "text", ["007", "12"]),
        (["12", "A12"], "text", ["12", "A12"]),
        (["1e5", "nan"], "text", ["1e5", "nan"]),
        (["123456789012345678"], "text", ["123456789012345678"]),
        (["true", "False", None], "flag", [True, False, None]),
        (["true", "1"], "text", ["true", "1"]),
        (["s|m", "l", "4"], "list", [["s", "m"], ["l"], ["4"]]),
        ([None, None], "text", [None, None]),
    ],
)
def test_all_cells_of_an_attribute_get_one_type(
    cells: list[object], kind: str, stored: list[object]
) -> None:
    kinds = infer_attribute_kinds([{"x": cells[:1]}, {"x": cells[1:]}])
    assert kinds == {"x": kind}
    assert [json.loads(text)["x"] for text in read_attributes({"x": cells}, kinds, {})] == stored


def test_typed_attributes_keep_their_types() -> None:
    cells = [3, True, "x", ["a"], {"a": [1]}, Decimal("1.5"), timedelta(seconds=3), b"ab"]
    stored = [json.loads(text)["x"] for text in read_attributes({"x": cells}, {}, {})]
    assert stored == [3, True, "x", ["a"], {"a": [1]}, 1.5, 3.0, "ab"]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("a\0", "an attribute has a NUL character or is not UTF-8"),
        (["\udce4"], "an attribute has a NUL character or is not UTF-8"),
        (float("inf"), "an attribute is an infinite number"),
    ],
)
def test_rejects_attributes_that_cannot_be_stored(cell: object, told: str) -> None:
    assert reason(check_item(brand=cell)) == told


def test_an_attribute_may_speak_of_escapes() -> None:
    assert value(check_item(brand="\\u0000")) == json.dumps({"brand": "\\u0000"})
