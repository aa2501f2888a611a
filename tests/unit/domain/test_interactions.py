import numpy as np

from serve_app.domain.interactions import (
    GRADE_GAINS,
    INTERACTION_TYPES,
    REASON_PRIORITIES,
    TYPE_GRADES,
    TYPE_WEIGHTS,
    TYPES,
)


def by(values):
    """Names of the types in ascending order of a column."""
    return [INTERACTION_TYPES[code] for code in np.argsort(values)]


def test_codes_of_interaction_types_are_stored_and_never_change():
    assert [(kind.code, kind.name) for kind in TYPES] == [
        (0, "view"),
        (1, "click"),
        (2, "cart"),
        (3, "purchase"),
        (4, "rating"),
    ]


def test_each_meaning_orders_the_interaction_types_in_its_own_way():
    assert by(TYPE_WEIGHTS) == ["view", "click", "rating", "cart", "purchase"]
    assert by(TYPE_GRADES) == ["view", "rating", "click", "cart", "purchase"]
    assert by(REASON_PRIORITIES) == ["view", "click", "cart", "rating", "purchase"]


def test_no_interaction_has_no_gain_and_a_purchase_has_the_largest():
    assert GRADE_GAINS.tolist() == [0, 0, 0, 1, 2, 4]
    assert GRADE_GAINS.dtype == np.float32
