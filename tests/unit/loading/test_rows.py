"""Rows of a file are checked and converted."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from serve_app.loading.chunk import Chunk, Floats, Times
from serve_app.loading.csv_rows import MAX_CELL_CHARS
from serve_app.loading.rejects import Reject
from serve_app.loading.rows import (
    DESCRIBED,
    CheckedRows,
    Limits,
    check_described,
    check_interactions,
    event_id_of,
)

LOST_IN_FLOAT = "item_id is a float that has lost digits: store ids as texts or as 64-bit integers"
LOST_IN_SPREADSHEET = (
    "item_id has lost digits in a spreadsheet: format the column as text, and export it again"
)
QUANTITY = (
    "a purchase of quantity 0 or less: give a return the type `return`, or skip such"
    " rows with --max-reject-share"
)
RETURNED = (
    "a return of quantity 0 or less: give what comes back, or nothing, or skip such rows with"
    " --max-reject-share"
)
NOT_ISO = "timestamp is neither ISO 8601, such as 2024-05-31T10:00:00Z, nor epoch seconds"
NO_TIME = "timestamp is no time from 1980 to 2200 in epoch seconds or milliseconds"
LIMITS = Limits(earliest_at=6e8, latest_at=1.8e9, max_rating=5)


def chunk(**columns: Sequence[object]) -> Chunk:
    n = len(next(iter(columns.values())))
    return Chunk(range(2, n + 2), columns, (), 1.0)


def check_item(**cells: object) -> CheckedRows:
    given = chunk(**{"item_id": ["pan"]} | {name: [cell] for name, cell in cells.items()})
    return check_described(given, DESCRIBED["items"], {})


def check_interaction(**cells: object) -> CheckedRows:
    row = {"user_id": "ann", "item_id": "pan", "timestamp": "1700000000"} | cells
    return check_interactions(chunk(**{name: [cell] for name, cell in row.items()}), LIMITS)


def reason(checked: CheckedRows) -> str:
    assert checked.rows == []
    (reject,) = checked.rejects
    assert reject.line == 2
    return reject.reason


def value(checked: CheckedRows, position: int = -1) -> object:
    assert checked.rejects == []
    (row,) = checked.rows
    return row[position]


@pytest.mark.parametrize(
    ("item_id", "kept"),
    [
        ("pan", "pan"),
        (7, "7"),
        (7.0, "7"),
        (b"pan", "pan"),
        ("x" * 128, "x" * 128),
        ("ø 1", "ø 1"),
        (" pan\u00a0", "pan"),
        (2**60 + 1, str(2**60 + 1)),
        ("2E10", "2E10"),
    ],
)
def test_reads_ids_of_any_type_as_texts(item_id: object, kept: str) -> None:
    assert value(check_item(item_id=item_id)) == kept


@pytest.mark.parametrize(
    ("item_id", "fault"),
    [
        (None, "item_id is missing"),
        ("", "item_id is missing"),
        ("x" * 129, "item_id is longer than 128 characters"),
        ("a\0b", "item_id has control characters or is not UTF-8"),
        ("a\nb", "item_id has control characters or is not UTF-8"),
        ("a\udce4", "item_id has control characters or is not UTF-8"),
        (b"\xe4", "item_id has control characters or is not UTF-8"),
        (" ", "item_id is missing"),
        ("NULL", "item_id is missing"),
        (2.0**53, LOST_IN_FLOAT),
        (-1e100, LOST_IN_FLOAT),
        ("4.00638E+12", LOST_IN_SPREADSHEET),
        ("4,00638E+12", LOST_IN_SPREADSHEET),
        ("1.8446744073709552e+19", LOST_IN_SPREADSHEET),
        (True, "item_id is neither a text nor a number"),
        (["a"], "item_id is neither a text nor a number"),
        ({"id": 1}, "item_id is neither a text nor a number"),
    ],
)
def test_rejects_invalid_ids(item_id: object, fault: str) -> None:
    assert reason(check_item(item_id=item_id)) == fault


def test_rejects_ids_that_a_narrow_float_has_rounded() -> None:
    ids = Floats([2.0**24 - 1, 2.0**24], exact_below=2.0**24)
    checked = check_described(chunk(item_id=ids), DESCRIBED["items"], {})
    assert [row[1] for row in checked.rows] == ["16777215"]
    assert [reject.reason for reject in checked.rejects] == [LOST_IN_FLOAT]


def test_rejects_texts_that_no_csv_file_could_hold() -> None:
    assert value(check_item(title="x" * MAX_CELL_CHARS)) == "x" * MAX_CELL_CHARS
    fault = reason(check_item(title="x" * (MAX_CELL_CHARS + 1)))
    assert fault == "title is longer than 131,072 characters"


@pytest.mark.parametrize("title", [["a"], {"en": "a"}])
def test_rejects_titles_that_are_no_texts(title: object) -> None:
    assert reason(check_item(title=title)) == "title is no text"


@pytest.mark.parametrize(
    ("price", "kept"),
    [("12.5", 12.5), (3, 3.0), ("0", 0.0), (None, None), (Decimal("2.5"), 2.5), ("1e-50", 0.0)],
)
def test_reads_prices_from_zero_on(price: object, kept: float | None) -> None:
    assert value(check_item(price=price)) == kept


@pytest.mark.parametrize(
    ("price", "fault"),
    [
        ("cheap", "price is not a number"),
        ("1,200", "price is not a number"),
        ("inf", "price is not a number"),
        ("-inf", "price is not a number"),
        ("nan", "price is not a number"),
        ("1e400", "price is not a number"),
        ([1], "price is not a number"),
        (True, "price is not a number"),
        ("-0.01", "price is negative"),
        ("1e13", "price is above 1e+12"),
    ],
)
def test_rejects_invalid_prices(price: object, fault: str) -> None:
    assert reason(check_item(price=price)) == fault


@pytest.mark.parametrize(
    ("in_stock", "kept"),
    [("true", True), ("No", False), ("1", True), (0, False), (True, True), (None, None)],
)
def test_reads_the_usual_spellings_of_flags(in_stock: object, kept: bool | None) -> None:
    assert value(check_item(in_stock=in_stock)) == kept


def test_rejects_invalid_flags() -> None:
    assert (
        reason(check_item(in_stock="some"))
        == "in_stock is none of true, yes, t, 1, 1.0, false, no, f, 0, 0.0"
    )


@pytest.mark.parametrize(
    ("tags", "kept"),
    [("a|b c| |", ["a", "b c"]), (["a", None, ""], ["a"]), (None, []), ("one", ["one"])],
)
def test_reads_tags_from_lists_and_texts_with_bars(tags: object, kept: list[str]) -> None:
    assert value(check_item(tags=tags)) == kept


@pytest.mark.parametrize("column", ["title", "category", "tags"])
@pytest.mark.parametrize("text", ["a\0", "\udce4"])
def test_rejects_text_that_cannot_be_stored(column: str, text: str) -> None:
    fault = reason(check_item(**{column: text}))
    assert fault == f"{column} has a NUL character or is not UTF-8"


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
        ("2023-11-14 22:13:20 UTC", 1.7e9),
        ("2023-11-14T22:13:20.5 GMT", 1_700_000_000.5),
        ("2023-11-14 22:13:20utc", 1.7e9),
        ("20231114", 1_699_920_000.0),
        (20231114, 1_699_920_000.0),
        ("1700000000500", 1_700_000_000.5),
        (1_700_000_000_500_000, 1_700_000_000.5),
        (1_700_000_000_500_000_000, 1_700_000_000.5),
    ],
)
def test_reads_times_in_iso_8601_and_epoch_seconds(timestamp: object, kept: float) -> None:
    assert value(check_interaction(timestamp=timestamp), position=6) == kept


@pytest.mark.parametrize(
    ("timestamp", "fault"),
    [
        (None, "timestamp is missing"),
        ("now", NOT_ISO),
        ("14.11.2023", NOT_ISO),
        ("2023-02-30", NOT_ISO),
        (True, NOT_ISO),
        ("1989-01-04", "timestamp is before 1989-01-05T10:40:00Z"),
        ("1900000000000", "timestamp is after 2027-01-15T08:00:00Z"),
        ("2019", "timestamp looks like a year: write 2024-01-01"),
        (2019, "timestamp looks like a year: write 2024-01-01"),
        ("43586.5", "timestamp looks like a spreadsheet's number of a day: write 2024-05-31"),
        ("201905011000", "timestamp looks like yyyymmddhhmm: write 2024-05-31T10:00"),
        (20190501100000, "timestamp looks like yyyymmddhhmmss: write 2024-05-31T10:00:00"),
        ("20230230", NO_TIME),
        ("0", NO_TIME),
        ("-1", NO_TIME),
        ("190501", NO_TIME),
        ("inf", NO_TIME),
    ],
)
def test_rejects_invalid_times(timestamp: object, fault: str) -> None:
    assert reason(check_interaction(timestamp=timestamp)) == fault


def test_items_may_be_created_before_all_interactions_or_in_the_future() -> None:
    assert value(check_item(created_at="1911-05-01")) == -1_851_552_000.0
    assert value(check_item(created_at="2199-01-01")) == 7_226_582_400.0
    assert value(check_item(created_at=None)) is None


def test_rejects_dates_outside_the_calendar() -> None:
    for at, fault in (
        (1.7e12, "after 9999-12-31T00:00:00Z"),
        (-1e12, "before 0001-01-01T00:00:00Z"),
    ):
        given = Chunk([2], {"item_id": ["pan"], "created_at": Times([at])}, (), 1.0)
        checked = check_described(given, DESCRIBED["items"], {})
        assert reason(checked) == f"created_at is {fault}"


def test_a_column_of_times_may_hold_any_year() -> None:
    given = Chunk([2, 3], {"item_id": ["pan", "pot"], "created_at": Times([0.0, 2019.0])}, (), 1.0)
    assert [at for *_, at in check_described(given, DESCRIBED["items"], {}).rows] == [0.0, 2019.0]


@pytest.mark.parametrize(("kind", "code"), [("view", 0), ("Rating", 4), ("cart", 2), (None, 3)])
def test_an_interaction_without_a_type_is_a_purchase(kind: object, code: int) -> None:
    assert value(check_interaction(type=kind, value="1"), position=4) == code


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"type": "wish"}, "type is none of view, click, cart, purchase, rating, return"),
        ({"type": "rating"}, "a rating without a value"),
        (
            {"type": "rating", "value": "5.5"},
            "a rating above 5: --max-rating sets the top of another scale",
        ),
        ({"type": "view", "value": "-1"}, "value is negative"),
        ({"value": "-1"}, QUANTITY),
        ({"value": "0"}, QUANTITY),
        ({"value": "1e-40"}, QUANTITY),
        ({"value": True}, "value is not a number"),
        ({"type": "rating", "value": "five"}, "value is not a number"),
        ({"value": 0.0, "type": "purchase"}, QUANTITY),
        ({"value": "many"}, "value is not a number"),
        ({"user_id": None}, "user_id is missing"),
        ({"event_id": "e" * 129}, "event_id is longer than 128 characters"),
        ({"session_id": "a\tb"}, "session_id has control characters or is not UTF-8"),
    ],
)
def test_rejects_invalid_interactions(cells: dict[str, object], fault: str) -> None:
    assert reason(check_interaction(**cells)) == fault


def test_a_quantity_may_be_above_the_highest_rating() -> None:
    assert value(check_interaction(value="24"), position=5) == 24.0


def test_keeps_an_event_id_and_makes_a_missing_one() -> None:
    assert value(check_interaction(event_id="e1"), position=1) == "e1"
    made = value(check_interaction(), position=1)
    assert made == event_id_of("ann", "pan", 1.7e9, 3, None, None)
    assert made == "065521ae7bbdb83bca64cfb54aac86ae"


def test_made_event_ids_differ_if_any_field_differs() -> None:
    ids = {
        event_id_of("ann", "pan", 1.0, 3, None, None),
        event_id_of("annp", "an", 1.0, 3, None, None),
        event_id_of("ann", "pan", 1.5, 3, None, None),
        event_id_of("ann", "pan", 1.0, 4, None, None),
        event_id_of("ann", "pan", 1.0, 3, 1.0, None),
        event_id_of("ann", "pan", 1.0, 3, None, "s"),
    }
    assert len(ids) == 6


def test_a_bad_row_keeps_its_first_reason_and_good_rows_keep_their_order() -> None:
    given = Chunk(
        [2, 3, 6, 7],
        {"item_id": [None, "a", "b", "c"], "price": ["x", "1", "-1", "2"]},
        [Reject(4, "the row has 1 cells, the header 2", value="x")],
        1.0,
    )
    checked = check_described(given, DESCRIBED["items"], {})

    assert checked.rows == [(3, "a", 1.0), (7, "c", 2.0)]
    assert checked.rejects == [
        Reject(2, "item_id is missing", "item_id", ""),
        Reject(4, "the row has 1 cells, the header 2", "", "x"),
        Reject(6, "price is negative", "price", "-1"),
    ]


def test_a_chunk_without_complete_rows_rejects_the_misshapen_ones() -> None:
    empty: dict[str, list[str]] = {
        name: [] for name in ("user_id", "item_id", "timestamp", "type", "value")
    }
    checked = check_interactions(Chunk([], empty, [Reject(2, "short")], 1.0), LIMITS)
    assert checked == CheckedRows([], [Reject(2, "short")])


def test_further_columns_become_attributes_even_if_the_database_has_the_name() -> None:
    described = DESCRIBED["items"]
    names = ("updated_at", "item_id", "price", "item_row")
    assert described.columns(names) == ("item_id", "price", "attributes")
    assert described.further(names) == ("updated_at", "item_row")
    assert described.columns(("item_id", "tags", "title")) == ("item_id", "title", "tags")


@pytest.mark.parametrize("cell", ["a\0", ["\udce4"]])
def test_rejects_attributes_that_cannot_be_stored(cell: object) -> None:
    assert reason(check_item(brand=cell)) == "an attribute has a NUL character or is not UTF-8"


def test_names_the_column_and_the_cell_of_a_bad_attribute() -> None:
    given = chunk(item_id=["pan"], size=["large"])
    (reject,) = check_described(given, DESCRIBED["items"], {"size": "number"}).rejects
    told = "attribute size is not a number (--attribute changes its kind)"
    assert reject == Reject(2, told, "size", "large")


def test_an_attribute_may_contain_the_text_of_an_escape() -> None:
    assert value(check_item(brand="\\u0000")) == json.dumps({"brand": "\\u0000"})


def test_an_event_is_the_same_after_its_value_was_stored_as_a_real() -> None:
    stored = float(np.float32(4.99))
    assert stored != 4.99
    ids = {
        value(check_interaction(value=number), position=1)
        for number in (stored, 4.99, "4.99", "4.990000001")
    }
    assert ids == {event_id_of("ann", "pan", 1.7e9, 3, 4.99, None)}


def test_an_event_is_the_same_after_its_time_was_stored_in_microseconds() -> None:
    ids = {
        value(check_interaction(timestamp=at), position=1)
        for at in ("1700000000.1234567", "2023-11-14T22:13:20.123457Z")
    }
    assert len(ids) == 1


def test_nanoseconds_are_cut_off_in_every_form() -> None:
    given = ("1700000000123456999", 1_700_000_000_123_456_999, "2023-11-14T22:13:20.123456999Z")
    times = {value(check_interaction(timestamp=at), position=6) for at in given}
    assert times == {1_700_000_000.123456}


def test_lines_of_an_order_are_interactions_of_their_own() -> None:
    given = chunk(
        event_id=["o1", "o1", "o2"],
        user_id=["ann"] * 3,
        item_id=["pan", "pot", "pan"],
        timestamp=["1700000000"] * 3,
    )
    checked = check_interactions(given, replace(LIMITS, event_id="order"))
    assert len({event_id for _, event_id, *_ in checked.rows}) == 3
