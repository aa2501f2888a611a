import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.database.records import shortest_float32


@pytest.mark.parametrize(
    ("number", "shown"), [(7 / 3, "2.3333333"), (4.5, "4.5"), (0.1, "0.1"), (None, "None")]
)
def test_prints_a_float32_with_the_fewest_digits(number, shown):
    stored = None if number is None else float(np.float32(number))

    assert repr(shortest_float32(stored)) == shown


@given(st.floats(width=32, allow_nan=False))
def test_keeps_the_float32(number):
    assert np.float32(shortest_float32(number)) == np.float32(number)


def test_keeps_nan():
    assert math.isnan(shortest_float32(math.nan))
