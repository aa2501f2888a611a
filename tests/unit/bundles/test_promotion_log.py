import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.bundles.promotion_log import Promotion, carried_out, served_before

A, B, C, D = (f"2023111{i}-00000000" for i in range(4))


def history(*steps):
    """Promotions from words like ``"fit A"``, each over the one before."""
    found, current = [], None
    for step in steps:
        by, name = step.split()
        version = globals()[name]
        found.append(Promotion(version=version, at=float(len(found)), by=by, over=current))
        current = version
    return found


@pytest.mark.parametrize(
    ("steps", "current", "expected"),
    [
        ((), None, []),
        (("fit A",), A, []),
        (("fit A", "fit B", "fit C"), C, [B, A]),
        (("fit A", "fit B", "fit C", "rollback B"), B, [A]),
        (("fit A", "fit B", "fit C", "rollback B", "rollback A"), A, []),
        (("fit A", "fit B", "rollback A", "fit C"), C, [A]),
        (("fit A", "fit B", "operator A"), A, [B]),
        (("fit A", "fit B", "forced C", "rollback B"), B, [A]),
        (("fit A", "fit B", "fit C", "rollback A"), A, []),
    ],
)
def test_goes_back_from_promotion_to_promotion(steps, current, expected):
    assert served_before(history(*steps), current) == expected


def test_a_promotion_that_was_not_carried_out_counts_for_nothing():
    planned = history("fit A", "fit B", "fit C")

    assert carried_out(planned, B) == planned[:2]
    assert served_before(planned, B) == [A]


def test_a_rollback_that_was_not_carried_out_counts_for_nothing():
    assert served_before(history("fit A", "fit B", "fit C", "rollback B"), C) == [B, A]


def test_what_nobody_wrote_down_was_served_too():
    by_hand = Promotion(version=C, at=2.0, by="fit", over=B)

    assert served_before(history("fit A"), B) == [A]
    assert served_before([*history("fit A"), by_hand], C) == [B, A]
    assert served_before([by_hand], C) == [B]


def test_a_rollback_to_what_the_history_has_forgotten_begins_it_anew():
    assert served_before(history("fit A", "fit B", "rollback D")[1:], D) == []


STEPS = st.tuples(st.sampled_from(["promote", "rollback"]), st.sampled_from("ABCD"), st.booleans())


@given(st.lists(STEPS, max_size=30))
def test_leads_where_taking_back_one_promotion_after_another_leads(steps):
    """Against a stack of what was served, with processes that die between plan and deed."""
    written, stack = [], []
    for deed, name, dies in steps:
        current = stack[-1] if stack else None
        before = served_before(written, current)
        version = globals()[name] if deed == "promote" else next(iter(before), None)
        if version in (None, current):
            continue
        by = "fit" if deed == "promote" else "rollback"
        planned = Promotion(version=version, at=0.0, by=by, over=current)
        written = [*carried_out(written, current), planned]
        if dies:
            continue
        if deed == "promote":
            stack.append(version)
        else:
            stack.pop()
            while stack[-1] != version:
                stack.pop()

    current = stack[-1] if stack else None
    assert served_before(written, current) == [each for each in stack[::-1] if each != current]
