import numpy as np
import pytest

from serve_app.recommending.ranking.focus import session_focus
from serve_app.recommending.scoring.model_features import CANDIDATE_FEATURES


def focus_of(share, n_events, minutes):
    features = np.full((1, len(CANDIDATE_FEATURES)), np.nan, np.float32)
    for name, value in (
        ("session_category_share", share),
        ("session_events", np.log1p(n_events)),
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


def test_a_session_that_has_ended_has_no_focus():
    assert focus_of(1, 5, 30) > 0
    assert focus_of(1, 5, 31) == 0


def test_a_visitor_without_events_has_no_focus():
    assert focus_of(0, 0, np.nan) == 0
