import numpy as np
import pytest

from serve_app.recommending.ranking.focus import session_focus
from serve_app.recommending.scoring.model_features import CANDIDATE_FEATURES


def focus_of(share, n_events, minutes, *, is_of_last=False, streak=0):
    features = np.full((1, len(CANDIDATE_FEATURES)), np.nan, np.float32)
    for name, value in (
        ("session_category_share", share),
        ("session_events", np.log1p(n_events)),
        ("category_of_last", is_of_last),
        ("session_streak", streak),
        ("minutes_since_last", minutes),
    ):
        features[0, CANDIDATE_FEATURES.index(f"candidate.{name}")] = value
    return float(session_focus(features)[0])


def test_focus_is_the_share_of_the_events_in_the_category():
    assert focus_of(0.5, 9, 2) == pytest.approx(0.45)
    assert focus_of(0, 9, 2) == 0


def test_a_single_event_is_half_of_a_proof():
    assert focus_of(1, 1, 0) == pytest.approx(0.5)
    assert focus_of(1, 3, 0) == pytest.approx(0.75)


def test_a_visitor_who_has_moved_on_to_a_category_looks_for_that():
    now = focus_of(0.3, 10, 2, is_of_last=True, streak=3)
    before = focus_of(0.7, 10, 2, streak=3)

    assert now == pytest.approx(0.75)
    assert before == pytest.approx(0.7 * 10 / 11)


def test_a_streak_within_a_session_of_the_same_category_takes_nothing_away():
    assert focus_of(0.9, 19, 2, is_of_last=True, streak=2) == pytest.approx(0.855)


def test_a_session_that_has_ended_has_no_focus():
    assert focus_of(1, 5, 30) > 0
    assert focus_of(1, 5, 31) == 0
    assert focus_of(1, 5, 31, is_of_last=True, streak=5) == 0


def test_a_visitor_without_events_has_no_focus():
    assert focus_of(0, 0, np.nan, is_of_last=np.nan, streak=np.nan) == 0
