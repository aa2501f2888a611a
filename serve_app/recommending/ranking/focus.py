"""Measures how much the user's session is about the category of each candidate."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.units import MINUTE_S
from serve_app.domain.sessions import SESSION_GAP_S
from serve_app.recommending.scoring.model_features import CANDIDATE_FEATURES

_SHARE, _LOG_EVENTS, _OF_LAST, _STREAK, _MINUTES = (
    CANDIDATE_FEATURES.index(f"candidate.{name}")
    for name in (
        "session_category_share",
        "session_events",
        "category_of_last",
        "session_streak",
        "minutes_since_last",
    )
)

_ELSEWHERE = 1.0
"""Events in other categories that are added to each session: one event does not decide."""


def session_focus(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Focus on each candidate's category, shape (total,), 0 … 1; 0 after the end of the session.

    It is the share of the category in the events of the session, or in the latest ones: the streak
    of events in the category of the last one. The larger share counts, because a visitor who has
    moved on to another category looks for that.

    Args:
        features: shape (total, f), columns as ``CANDIDATE_FEATURES``.
    """
    n_events, streak = np.expm1(features[:, _LOG_EVENTS]), features[:, _STREAK]
    # NaN without any session, and no comparison holds for NaN.
    is_present = features[:, _MINUTES] * MINUTE_S <= SESSION_GAP_S
    of_session = features[:, _SHARE] * n_events / (n_events + _ELSEWHERE)
    of_streak = features[:, _OF_LAST] * streak / (streak + _ELSEWHERE)
    return np.where(is_present, np.maximum(of_session, of_streak), 0.0).astype(np.float32)
