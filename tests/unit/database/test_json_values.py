"""Tests that what is read from JSON can be written as JSON again."""

import json
import math

import pytest

from serve_app.database.json_values import read_json


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63), 10**17, 1.5, 1e300])
def test_keeps_numbers_that_can_be_written(number: float) -> None:
    found = read_json(json.dumps({"a": [number]}))["a"][0]

    assert found == number
    assert type(found) is type(number)


def test_widens_whole_numbers_of_more_than_64_bits() -> None:
    assert read_json(str(10**20)) == 1e20
    assert isinstance(read_json(str(-(10**20))), float)
    assert read_json("1" + "0" * 9_999) == math.inf


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", "[" * 100_000], ids=range(4))
def test_says_that_it_cannot_read_anything_else(raw: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|decode|deeply"):
        read_json(raw)
