import math
import operator
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import (
    FlagColumn,
    IdIndex,
    NumberColumn,
    TagsColumn,
    TextColumn,
    Texts,
)
from serve_app.domain.catalogue import STANDARD_COLUMNS, Catalogue
from serve_app.domain.filters.masks import Filter, cache_key, filter_mask
from serve_app.domain.filters.parsing import parse_filter
from serve_app.errors import InvalidRequest

property_test = settings(max_examples=150, deadline=None)

IDS = ["i0", "i1", "i2", "i3"]
CATEGORIES = ["garden", "kitchen", None, "kitchen"]
PRICES = [5.0, 19.99, math.nan, 40.0]
TAGS = [["oak", "gift"], ["gift"], [], ["oak"]]
IN_STOCK = [True, False, True, True]
CREATED_AT = [0.0, 86_400.0, math.nan, 1_767_225_600.0]


def catalogue_of(
    ids=IDS,
    categories=CATEGORIES,
    prices=PRICES,
    tags=TAGS,
    in_stock=IN_STOCK,
    created_at=CREATED_AT,
    price_type=np.float64,
):
    n_rows = len(ids)
    unknown = NumberColumn(np.full(n_rows, np.nan))
    return Catalogue(
        version="v1",
        item_ids=Texts.of(ids),
        titles=Texts.of(ids),
        index=IdIndex.of(ids),
        listed=np.ones(n_rows, bool),
        columns={
            "category": TextColumn.of(categories),
            "price": NumberColumn(np.array(prices, price_type)),
            "tags": TagsColumn.of(tags),
            "in_stock": FlagColumn.of(in_stock),
            "created_at": NumberColumn(np.array(created_at, np.float64)),
            "avg_rating": unknown,
            "num_ratings": unknown,
            "popularity": unknown,
        },
        vectors=np.zeros((n_rows, 2), np.float32),
        features=np.zeros((n_rows, 0), np.float32),
    )


def parse(raw) -> Filter:
    parsed = parse_filter(raw, STANDARD_COLUMNS)
    assert parsed is not None
    return parsed


def allowed(raw, catalogue=None) -> list[str]:
    """Ids of the items that the filter allows."""
    catalogue = catalogue or catalogue_of()
    mask = filter_mask(parse(raw), catalogue)
    return catalogue.item_ids.take(np.flatnonzero(mask))


class TestFilterMask:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ({"category": "kitchen"}, ["i1", "i3"]),
            ({"category": ["kitchen", "garden"]}, ["i0", "i1", "i3"]),
            ({"category": {"not_in": ["kitchen"]}}, ["i0", "i2"]),
            ({"category": "no such word"}, []),
            ({"category": {"not_in": ["no such word"]}}, IDS),
            ({"price": 19.99}, ["i1"]),
            ({"price": {"gt": 5}}, ["i1", "i3"]),
            ({"price": {"gte": 5, "lt": 40}}, ["i0", "i1"]),
            ({"price": {"lte": 40}}, ["i0", "i1", "i3"]),
            ({"price": {"not_in": [5]}}, ["i1", "i2", "i3"]),
            ({"tags": "oak"}, ["i0", "i3"]),
            ({"tags": {"any": ["oak", "gift"]}}, ["i0", "i1", "i3"]),
            ({"tags": {"all": ["oak", "gift"]}}, ["i0"]),
            ({"tags": {"all": ["oak", "no such word"]}}, []),
            ({"tags": {"none": ["oak"]}}, ["i1", "i2"]),
            ({"tags": {"any": ["gift"], "none": ["oak"]}}, ["i1"]),
            ({"in_stock": False}, ["i1"]),
            ({"in_stock": {"eq": True}}, ["i0", "i2", "i3"]),
            ({"item_id": ["i2", "i9"]}, ["i2"]),
            ({"item_id": {"not_in": ["i2", "i9"]}}, ["i0", "i1", "i3"]),
            ({"item_id": {"eq": "i0"}}, ["i0"]),
            ({"created_at": {"gte": "1970-01-02"}}, ["i1", "i3"]),
            ({"created_at": {"lt": "1970-01-02T01:00:00+01:00"}}, ["i0"]),
            ({"created_at": {"gte": "2026-01-01T00:00:00Z"}}, ["i3"]),
            ({"created_at": {"lte": 86_400}}, ["i0", "i1"]),
            ({"category": "kitchen", "price": {"lte": 20}}, ["i1"]),
            ({"category": {"eq": "kitchen", "in": ["kitchen", "garden"]}}, ["i1", "i3"]),
        ],
    )
    def test_allows_the_rows_where_all_conditions_hold(self, raw, expected):
        assert allowed(raw) == expected

    def test_an_unknown_value_satisfies_negations_alone(self):
        negations = {
            "category": {"not_in": ["a"]},
            "price": {"not_in": [1]},
            "tags": {"none": ["a"]},
        }
        assert "i2" in allowed(negations)
        for raw in ({"category": ""}, {"price": {"lte": 1e300}}, {"price": {"gte": -1e300}}):
            assert "i2" not in allowed(raw)

    def test_an_unknown_flag_is_neither_yes_nor_no(self):
        whole = catalogue_of()
        flags = FlagColumn.of([True, False, *[None] * (len(whole) - 2)])
        some = replace(whole, columns={**whole.columns, "vegan": flags})

        def with_flag(wanted):
            filter_ = parse_filter({"vegan": wanted}, {"vegan": FlagColumn})
            return np.flatnonzero(filter_mask(filter_, some)).tolist()

        assert (with_flag(True), with_flag(False)) == ([0], [1])

    def test_compares_in_the_precision_of_the_column(self):
        single = catalogue_of(price_type=np.float32)

        assert allowed({"price": 19.99}, single) == ["i1"]
        assert allowed({"price": {"lt": 19.99}}, single) == ["i0"]
        assert allowed({"price": {"lte": 19.99}}, single) == ["i0", "i1"]
        assert allowed({"price": {"lt": 1e300}}, single) == ["i0", "i1", "i3"]

    def test_a_field_that_the_catalogue_lacks_satisfies_negations_alone(self):
        whole = catalogue_of()
        others = {name: column for name, column in whole.columns.items() if name != "price"}
        lacking = replace(whole, columns=others)

        assert allowed({"price": {"lte": 20}}, lacking) == []
        assert allowed({"price": {"not_in": [5]}}, lacking) == IDS

    @pytest.mark.parametrize("name", ["price", "tags", "in_stock"])
    def test_another_kind_of_column_under_the_name_counts_as_lacking(self, name):
        whole = catalogue_of()
        swapped = replace(whole, columns={**whole.columns, "category": whole.columns[name]})

        assert allowed({"category": "oak"}, swapped) == []
        assert allowed({"category": {"not_in": ["oak"]}}, swapped) == IDS

    def test_a_time_without_zone_is_utc_wherever_the_process_runs(self, monkeypatch):
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "JST-9")
            time.tzset()
            wanted = parse({"created_at": "1970-01-02T00:00:00"})
        time.tzset()

        assert wanted.conditions[0].operands == (86_400.0,)

    def test_answers_for_a_catalogue_without_items(self):
        empty = catalogue_of([], [], [], [], [], [])

        for raw in ({"category": "a"}, {"tags": {"all": ["a"]}}, {"item_id": "a"}, {"price": 1}):
            assert filter_mask(parse(raw), empty).shape == (0,)


WORDS = st.sampled_from(["a", "b", "c", "never"])
WORD_LISTS = st.lists(WORDS, max_size=3)
NUMBERS = st.sampled_from([-1.0, 0.0, 0.5, 1, 2, 2.5])
NUMBER_LISTS = st.lists(NUMBERS, max_size=3)


def operators(**operands):
    return st.fixed_dictionaries({}, optional=operands)


WIRE_FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "category": st.one_of(
            WORDS, WORD_LISTS, operators(eq=WORDS, in_=WORD_LISTS, not_in=WORD_LISTS)
        ),
        "price": st.one_of(
            NUMBERS,
            NUMBER_LISTS,
            operators(
                eq=NUMBERS,
                in_=NUMBER_LISTS,
                not_in=NUMBER_LISTS,
                gt=NUMBERS,
                gte=NUMBERS,
                lt=NUMBERS,
                lte=NUMBERS,
            ),
        ),
        "tags": st.one_of(
            WORDS, WORD_LISTS, operators(any=WORD_LISTS, all=WORD_LISTS, none=WORD_LISTS)
        ),
        "in_stock": st.booleans(),
    },
).map(
    lambda raw: {
        field: {name.rstrip("_"): operand for name, operand in spelt.items()}
        if isinstance(spelt, dict)
        else spelt
        for field, spelt in raw.items()
    }
)

ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "category": st.sampled_from(["a", "b", "c", None]),
            "price": st.sampled_from([math.nan, 0.0, 0.5, 1.0, 2.0]),
            "tags": st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3),
            "in_stock": st.booleans(),
        }
    ),
    max_size=6,
)

MEANINGS = {
    "eq": operator.eq,
    "in": lambda value, wanted: value in wanted,
    "not_in": lambda value, wanted: value not in wanted,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "any": lambda tags, wanted: bool(set(tags) & set(wanted)),
    "all": lambda tags, wanted: set(wanted) <= set(tags),
    "none": lambda tags, wanted: not set(tags) & set(wanted),
}


def holds(value: object, spelt: object) -> bool:
    """The meaning of a field's condition, one item at a time."""
    if not isinstance(spelt, Mapping):
        wanted = spelt if isinstance(spelt, list) else [spelt]
        return MEANINGS["any" if isinstance(value, list) else "in"](value, wanted)
    return all(MEANINGS[name](value, operand) for name, operand in spelt.items())


@property_test
@given(raw=WIRE_FILTERS, items=ITEMS)
def test_allows_what_the_wire_form_says_item_by_item(raw, items):
    catalogue = catalogue_of(
        ids=[f"i{row}" for row in range(len(items))],
        created_at=[0.0] * len(items),
        categories=[item["category"] for item in items],
        prices=[item["price"] for item in items],
        tags=[item["tags"] for item in items],
        in_stock=[item["in_stock"] for item in items],
    )
    expected = [all(holds(item[f], spelt) for f, spelt in raw.items()) for item in items]
    try:
        wanted = parse_filter(raw, STANDARD_COLUMNS)
    except InvalidRequest:
        assert not any(expected)
        return
    mask = [True] * len(items) if wanted is None else filter_mask(wanted, catalogue).tolist()

    assert mask == expected


class TestCanonicalForm:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"category": "a"}, {"category": ["a"]}),
            ({"category": "a"}, {"category": {"in": ["a"]}}),
            ({"category": "a"}, {"category": {"eq": "a"}}),
            ({"category": ["b", "a", "b"]}, {"category": {"in": ["a", "b"]}}),
            ({"tags": "a"}, {"tags": {"any": ["a"]}}),
            ({"price": 20}, {"price": {"eq": 20.0}}),
            ({"price": {"gte": -0.0}}, {"price": {"gte": 0}}),
            ({"price": {"gt": 1, "lt": 2}}, {"price": {"lt": 2, "gt": 1}}),
            ({"in_stock": True}, {"in_stock": {"eq": True}}),
            ({"created_at": {"gt": "1970-01-02"}}, {"created_at": {"gt": 86_400}}),
            ({"category": "a", "price": 1}, {"price": 1, "category": "a"}),
            ({"category": "a", "price": {}}, {"category": "a", "tags": {"none": []}}),
        ],
    )
    def test_spelling_makes_no_difference(self, one, other):
        assert parse(one) == parse(other)
        assert hash(parse(one)) == hash(parse(other))
        assert cache_key(parse(one)) == cache_key(parse(other))

    @pytest.mark.parametrize(
        "raw",
        [{}, {"price": {}}, {"category": {"not_in": []}}, {"tags": {"all": [], "none": []}}],
    )
    def test_a_filter_that_asks_for_nothing_is_none(self, raw):
        assert parse_filter(raw, STANDARD_COLUMNS) is None

    @property_test
    @given(one=WIRE_FILTERS, other=WIRE_FILTERS)
    def test_cache_keys_are_equal_exactly_where_filters_are(self, one, other):
        try:
            first, second = (parse_filter(raw, STANDARD_COLUMNS) for raw in (one, other))
        except InvalidRequest:
            assume(False)

        assert (first == second) == (cache_key(first) == cache_key(second))

    def test_the_cache_key_is_the_same_in_a_process_with_other_string_hashes(self):
        program = (
            "from serve_app.domain.catalogue import STANDARD_COLUMNS as columns\n"
            "from serve_app.domain.filters.parsing import parse_filter\n"
            "from serve_app.domain.filters.masks import cache_key\n"
            "print(cache_key(parse_filter({'tags': list('hgfedcba'), 'price': 1}, columns)))"
        )
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": "7"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

        assert printed == cache_key(parse({"price": [1.0], "tags": list("abcdefgh")}))


def mask_or_refusal(raw):
    try:
        wanted = parse_filter(raw, STANDARD_COLUMNS)
    except InvalidRequest as refused:
        return refused.message
    return np.ones(len(IDS), bool) if wanted is None else filter_mask(wanted, catalogue_of())


@property_test
@given(
    st.dictionaries(
        st.sampled_from(["category", "price", "tags", "created_at", "item_id", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["eq", "in", "lt", "all", "?"]), inner)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_json_is_a_filter_or_an_invalid_request(raw):
    mask = mask_or_refusal(raw)

    assert isinstance(mask, str) or mask.shape == (len(IDS),)
