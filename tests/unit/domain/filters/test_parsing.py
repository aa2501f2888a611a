import math

import pytest

from serve_app.arrays.columns import FlagColumn
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.parsing import (
    MAX_CONDITIONS,
    MAX_TEXT_CHARS,
    MAX_VALUES,
    parse_filter,
)
from serve_app.errors import InvalidRequest


class TestParseFilter:
    @pytest.mark.parametrize(
        ("raw", "location", "message"),
        [
            (
                {"colour": "red"},
                ("colour",),
                "known are avg_rating, category, created_at, in_stock",
            ),
            ({"colour": "red"}, ("colour",), "item_id"),
            ({"category": None}, ("category",), "must be text of at most 128 characters"),
            ({"category": 5}, ("category",), "must be text"),
            ({"category": ["a", None]}, ("category",), "or a list of them"),
            ({"category": "x" * (MAX_TEXT_CHARS + 1)}, ("category",), "at most 128 characters"),
            ({"category": "\ud800"}, ("category",), "must be text"),
            ({"category": {"gt": "a"}}, ("category", "gt"), "known are in, eq, not_in"),
            ({"category": {"eq": ["a"]}}, ("category", "eq"), "must be text"),
            ({"price": "cheap"}, ("price",), "must be a finite number, or a list of them"),
            ({"price": True}, ("price",), "must be a finite number"),
            ({"price": math.nan}, ("price",), "must be a finite number"),
            ({"price": {"lt": math.inf}}, ("price", "lt"), "must be a finite number"),
            ({"price": {"lt": 10**400}}, ("price", "lt"), "must be a finite number"),
            ({"price": {"lt": [1]}}, ("price", "lt"), "must be a finite number"),
            ({"price": {"any": [1]}}, ("price", "any"), "unknown operator"),
            ({"in_stock": 1}, ("in_stock",), "must be true or false"),
            ({"in_stock": [True]}, ("in_stock",), "must be true or false"),
            ({"in_stock": {"in": [True]}}, ("in_stock", "in"), "known are eq"),
            ({"tags": {"in": ["a"]}}, ("tags", "in"), "known are any, all, none"),
            ({"tags": {"any": {"a": 1}}}, ("tags", "any"), "must be text"),
            ({"created_at": {"gt": "soon"}}, ("created_at", "gt"), "ISO 8601"),
            ({"created_at": "1111111111"}, ("created_at",), "ISO 8601"),
            ({"created_at": True}, ("created_at",), "ISO 8601"),
            ({"item_id": 7}, ("item_id",), "must be text"),
            ({"item_id": {"gt": "a"}}, ("item_id", "gt"), "known are in, eq, not_in"),
            ({"price": list(range(MAX_VALUES + 1))}, (), "at most 1000 values .* in all, .* 1001"),
            (
                {"item_id": {"in": ["a"] * 600, "not_in": ["b"] * 600}},
                (),
                "at most 1000 values .* are 1200",
            ),
            ({f"f{i}": 1 for i in range(MAX_CONDITIONS + 1)}, (), "at most 20 conditions .* 21"),
            ({f"f{i}": {} for i in range(MAX_CONDITIONS + 1)}, (), "at most 20 conditions .* 21"),
            (
                {f"f{i}": {"gt": 1, "lt": 2, "eq": 3} for i in range(7)},
                (),
                "at most 20 conditions .* 21",
            ),
            ({"tags": {"any": []}}, ("tags", "any"), "an empty list allows no item"),
            ({"category": []}, ("category",), "must name a value"),
            ({"item_id": {"in": []}}, ("item_id", "in"), "must name a value"),
        ],
    )
    def test_says_where_and_what_is_allowed(self, raw, location, message):
        with pytest.raises(InvalidRequest, match=message) as caught:
            parse_filter(raw, STANDARD_COLUMNS)

        assert caught.value.location == ("body", "filters", *location)

    def test_takes_as_much_as_the_bounds_say(self):
        ids = [f"{i:0128}" for i in range(MAX_VALUES)]

        wanted = parse_filter({"item_id": {"not_in": ids}}, STANDARD_COLUMNS)

        assert wanted is not None
        assert len(wanted.conditions[0].operands) == MAX_VALUES

    def test_takes_declared_attributes_by_their_kind(self):
        columns = {**STANDARD_COLUMNS, "vegan": FlagColumn}

        assert parse_filter({"vegan": True}, columns) is not None
        with pytest.raises(InvalidRequest, match="true or false"):
            parse_filter({"vegan": "yes"}, columns)

    def test_shows_a_made_up_field_in_a_form_that_an_answer_can_hold(self):
        with pytest.raises(InvalidRequest) as caught:
            parse_filter({"\ud800" + "x" * 999: 1}, STANDARD_COLUMNS)

        assert caught.value.location == ("body", "filters", "?" + "x" * (MAX_TEXT_CHARS - 1))

    @pytest.mark.parametrize(
        "raw",
        [
            {"price": {"gt": 5, "lt": 5}},
            {"price": {"gte": 5, "lt": 5}},
            {"price": {"gt": 5, "lte": 5}},
            {"price": {"gte": 6, "lte": 5}},
            {"price": {"gt": 5, "gte": 5, "lte": 5}},
            {"price": {"gte": 5, "lt": 5, "lte": 5}},
            {"price": {"eq": 4, "gt": 5}},
            {"price": {"in": [1, 2], "not_in": [1, 2, 3]}},
            {"price": {"in": [1, 2], "eq": 3}},
            {"category": {"in": ["a"], "not_in": ["a", "b"]}},
            {"item_id": {"eq": "a", "in": ["b"]}},
            {"tags": {"all": ["a", "b"], "none": ["b"]}},
            {"tags": {"any": ["a"], "none": ["a", "b"]}},
            {"created_at": {"gte": "2026-02-01", "lt": "2026-01-01"}},
        ],
    )
    def test_refuses_conditions_that_no_item_can_meet(self, raw):
        with pytest.raises(InvalidRequest, match="no item can meet all") as caught:
            parse_filter(raw, STANDARD_COLUMNS)

        assert caught.value.location == ("body", "filters", *raw)

    @pytest.mark.parametrize(
        "raw",
        [
            {"price": {"gte": 5, "lte": 5}},
            {"price": {"gt": 5, "gte": 4, "lt": 9, "lte": 20}},
            {"price": {"in": [1, 2, 9], "not_in": [1], "lt": 3}},
            {"price": {"gt": 5, "not_in": [6]}},
            {"category": {"in": ["a", "b"], "not_in": ["a"]}},
            {"tags": {"any": ["a", "b"], "none": ["a"], "all": ["c"]}},
            {"tags": {"all": [], "none": []}},
        ],
    )
    def test_takes_conditions_that_an_item_can_meet(self, raw):
        parse_filter(raw, STANDARD_COLUMNS)
