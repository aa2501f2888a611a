import numpy as np
import pytest

from serve_app.arrays.columns import MISSING, FlagColumn, NumberColumn, TagsColumn, TextColumn
from serve_app.arrays.units import DAY_S
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.items import (
    MIN_SPARE_ROWS,
    attribute_columns,
    build_catalogue,
    count_spare_rows,
    withdrawn_at,
)
from tests.support.hand_made_logs import items_of, log_of

NOTHING = log_of(users=())


class TestCatalogue:
    def test_leaves_rows_empty_that_hold_no_item(self):
        items = items_of(2, item_row=np.array([0, 2], np.int32))

        catalogue = build_catalogue(items, NOTHING, 2)

        np.testing.assert_array_equal(catalogue.listed, [True, False, True])
        assert catalogue.item_ids.take(range(3)) == ["i0", "", "i1"]
        np.testing.assert_array_equal(catalogue.index.find(["i1", ""]), [2, -1])
        assert catalogue.categories.word(1) is None

    def test_an_item_is_there_since_it_was_created_or_first_touched(self):
        items = items_of(4, created_at=[5 * DAY_S, 5 * DAY_S, np.nan, np.nan])
        log = log_of(("ann", 0, "view", 3), ("ann", 2, "view", 4))

        created_at = build_catalogue(items, log, 2).number("created_at")

        np.testing.assert_array_equal(created_at / DAY_S, [3, 5, 4, np.nan])

    def test_needs_items(self):
        with pytest.raises(NotEnoughData, match="no items"):
            build_catalogue(items_of(0), NOTHING, 2)


class TestAttributeColumns:
    def test_takes_the_kind_of_the_values(self):
        columns = attribute_columns(
            [{"width": 3, "eco": True, "brand": "Oak", "uses": ["bath", "home"]}, {"width": 2.5}]
        )

        assert {name: type(column) for name, column in columns.items()} == {
            "width": NumberColumn,
            "eco": FlagColumn,
            "brand": TextColumn,
            "uses": TagsColumn,
        }
        np.testing.assert_array_equal(columns["width"].values, [3.0, 2.5])
        np.testing.assert_array_equal(columns["eco"].values, [1, MISSING])
        assert [columns["brand"].word(row) for row in (0, 1)] == ["Oak", None]
        assert [columns["uses"].words(row) for row in (0, 1)] == [["bath", "home"], []]

    def test_makes_texts_of_mixed_kinds(self):
        column = attribute_columns([{"size": 38}, {"size": "XL"}, {"size": None}])["size"]

        assert [column.word(row) for row in range(3)] == ["38", "XL", None]

    def test_keeps_a_kind_that_is_known_whatever_the_values_are(self):
        kinds = {"width": "number", "eco": "flag", "uses": "list", "size": "text", "gone": "number"}
        columns = attribute_columns(
            [{"width": None, "size": 38}, {"width": "wide", "eco": 1, "uses": "bath"}], kinds
        )

        assert {name: type(column) for name, column in columns.items()} == {
            "width": NumberColumn,
            "eco": FlagColumn,
            "uses": TagsColumn,
            "size": TextColumn,
            "gone": NumberColumn,
        }
        np.testing.assert_array_equal(columns["width"].values, [np.nan, np.nan])
        np.testing.assert_array_equal(columns["eco"].values, [MISSING, MISSING])
        assert columns["uses"].words(1) == []
        assert columns["size"].word(0) == "38"

    def test_leaves_names_of_standard_columns_to_them(self):
        assert attribute_columns([{"price": "cheap"}]) == {}


class TestSpareRows:
    def test_leaves_empty_rows_for_items_that_come_later(self):
        catalogue = build_catalogue(items_of(2), NOTHING, 2, n_spare_rows=3)

        np.testing.assert_array_equal(catalogue.listed, [True, True, False, False, False])
        assert len(catalogue.vectors) == len(catalogue.number("price")) == 5

    def test_counts_a_share_of_the_items_but_never_few(self):
        assert count_spare_rows(100_000, 0.1) == 10_000
        assert count_spare_rows(10, 0.1) == MIN_SPARE_ROWS
        assert count_spare_rows(100_000, 0.0) == 0


def test_knows_since_when_items_are_withdrawn():
    assert np.isnan(withdrawn_at(items_of(2), 3)).all()
    withdrawn = withdrawn_at(items_of(2, withdrawn_at=[7.0, np.nan]), 3)
    np.testing.assert_array_equal(withdrawn, [7.0, np.nan, np.nan])
