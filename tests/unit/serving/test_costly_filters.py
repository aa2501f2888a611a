import pytest

from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.allowed_items import MAX_BYTES
from serve_app.domain.filters.parsing import parse_filter
from serve_app.serving.costly_filters import CostlyFilters

LARGE = 1_000_000


def cheaper_than(price):
    return parse_filter({"price": {"lt": price}}, STANDARD_COLUMNS)


@pytest.mark.parametrize(
    ("wanted", "n_rows", "is_costly"),
    [(None, LARGE, False), (cheaper_than(5), 18_000, False), (cheaper_than(5), LARGE, True)],
)
def test_a_new_filter_on_a_large_catalogue_is_costly(wanted, n_rows, is_costly):
    assert CostlyFilters().is_costly(wanted, "v", n_rows) is is_costly


def test_many_conditions_are_costly_on_a_smaller_catalogue():
    wanted = parse_filter({"price": {"not_in": [1], "gt": 2, "lt": 9}}, STANDARD_COLUMNS)

    assert CostlyFilters().is_costly(wanted, "v", 300_000)
    assert not CostlyFilters().is_costly(cheaper_than(5), "v", 300_000)


def test_a_filter_is_cheap_once_its_mask_is_kept_and_costly_in_the_next_version():
    filters = CostlyFilters()

    asked = [filters.is_costly(cheaper_than(5), version, LARGE) for version in "vvw"]

    assert asked == [True, False, True]


def test_no_more_filters_are_remembered_than_masks_are_kept():
    filters, n_kept = CostlyFilters(), MAX_BYTES // LARGE
    for price in range(n_kept + 1):
        filters.is_costly(cheaper_than(price), "v", LARGE)

    assert filters.is_costly(cheaper_than(0), "v", LARGE)
    assert not filters.is_costly(cheaper_than(n_kept), "v", LARGE)
