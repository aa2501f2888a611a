import numpy as np
import pytest

from serve_app.fitting.judging.leaks import LeakConfig, find_leaks
from serve_app.fitting.judging.window_results import ndcg_by_order
from serve_app.recommending.scoring.model_features import SOURCES
from tests.support.measured_windows import measured_at, split

RNG = np.random.default_rng(2)


def of(learnt, later, **settings):
    """The findings about a source, by the NDCG of its users in both windows."""
    config = LeakConfig(**settings)
    [leak] = find_leaks({"one": np.array(learnt)}, {"one": np.array(later)}, config, 500, 1)
    return leak


def users(mean, n=800):
    """A share of users with full marks, the others with nothing, as hits are."""
    return (np.arange(n) < mean * n).astype(float)


def found(*, leaking):
    at = split()
    learnt, later = (
        {name: ndcg_by_order(each, 10)[name] for name in SOURCES}
        for each in (
            measured_at(at.train_at, at.evaluate_at, leaking=leaking),
            measured_at(at.evaluate_at, at.end_at),
        )
    )
    return {leak.source: leak for leak in find_leaks(learnt, later, LeakConfig(), 500, 7)}


def test_tables_that_were_fitted_on_the_labels_are_suspicious():
    leaks = found(leaking=True)

    suspicious = {source for source, leak in leaks.items() if leak.suspicious}
    assert {"similar_users", "autoencoder"} <= suspicious
    assert "it may have seen what it was to predict" in leaks["similar_users"].sentence


def test_tables_that_knew_the_past_alone_are_not():
    leaks = found(leaking=False)

    assert set(leaks) == set(SOURCES)
    assert [leak.source for leak in leaks.values() if leak.suspicious] == []


@pytest.mark.parametrize(
    ("learnt", "later", "suspicious"),
    [
        (users(0.096), users(0.103), False),
        (users(0.246), users(0.103), True),
        (users(0.150), users(0.103), False),  # within the ratio
        (users(0.246, n=40), users(0.103, n=40), False),  # too few users to tell
        (users(0.0), users(0.0), False),
        (users(0.3), users(0.0), True),
    ],
)
def test_is_suspicious_when_it_is_far_better_where_it_is_learnt_from(learnt, later, suspicious):
    assert of(learnt, later).suspicious is suspicious


def test_the_ratio_and_the_margin_are_settings():
    learnt, later = users(0.15), users(0.1)

    assert not of(learnt, later).suspicious
    assert of(learnt, later, max_ratio=1.2, margin=0.0).suspicious
    assert not of(learnt, later, max_ratio=1.2, margin=0.4).suspicious


def test_intervals_hold_what_was_measured():
    learnt, later = RNG.random(300), RNG.random(200)

    leak = of(learnt, later)

    for figure in (leak.learnt, leak.later, leak.difference):
        assert figure.low < figure.mean < figure.high
    assert leak.difference.mean == pytest.approx(learnt.mean() - later.mean())
