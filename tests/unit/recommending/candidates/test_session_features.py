from dataclasses import replace

import numpy as np
import pytest

from serve_app.arrays.columns import NumberColumn
from serve_app.domain.batches import RequestBatch
from serve_app.domain.interactions import NO_EVENTS, TYPE_CODES, Histories, make_events
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.candidates.session_features import session_features
from serve_app.recommending.scoring.model_features import SESSION_FEATURES
from tests.support.small_world import AT, small_world

VIEW = TYPE_CODES["view"]
HOUR_S = 3_600.0


def history(*events):
    """Views as (row, minutes before ``AT``), oldest first."""
    rows, minutes = zip(*events, strict=True)
    return make_events(rows, [VIEW] * len(rows), [AT - 60.0 * each for each in minutes])


@pytest.fixture
def world():
    """Rows 0, 1 and 2 cost 3, 7 and 1; row 2 is of another category. Row 0 leads to row 1."""
    fitted = small_world().fitted
    catalogue, tables = fitted.catalogue, fitted.tables
    n, categories = len(catalogue), catalogue.categories
    codes = categories.codes.copy()
    codes[:3] = [0, 0, 1]
    prices = np.full(n, 5.0)
    prices[:3] = [3, 7, 1]
    columns = {
        **catalogue.columns,
        "category": replace(categories, codes=codes),
        "price": NumberColumn(prices),
    }
    starts = np.full(n + 1, 1)
    starts[0] = 0
    tables = replace(
        tables,
        until_at=np.array([AT - 36 * HOUR_S]),
        step_in=np.full((n, 1), 2.0, np.float32),
        step_out=np.full((n, 1), 3.0, np.float32),
        session_items=np.arange(n, dtype=np.int32),
        context_vectors=np.zeros((n, 3, 1), np.float32),
        next_vectors=np.zeros((n, 1), np.float32),
        next_biases=np.zeros(n, np.float32),
        pair_keys=np.array([n * 2 + 0]),
        pair_offsets=np.array([0, 1]),
        pair_rows=np.array([1], np.int32),
        pair_weights=np.array([0.7], np.float32),
        pair_rests=np.array([0.2], np.float32),
        transition_offsets=starts,
        transition_rows=np.array([1], np.int32),
        transition_weights=np.array([[0.5, 0.6, 0.7]], np.float32),
    )
    return replace(fitted, catalogue=replace(catalogue, columns=columns), tables=tables)


def features_of(world, events, row):
    """By name, of one candidate, for a user with these events."""
    finder = CandidateFinder.of(world, CandidatesConfig())
    batch = RequestBatch.unfiltered(("u",), 10, AT)
    queries = finder.queries(batch, Histories.of([events]))
    [found] = session_features(np.array([row], np.int32), np.zeros(1, np.int64), queries)
    return dict(zip(SESSION_FEATURES, found.tolist(), strict=True))


class TestSessionFeatures:
    def test_are_these_numbers(self, world):
        found = features_of(world, history((2, 200), (1, 20), (2, 10), (0, 5), (0, 4)), row=1)

        assert found == pytest.approx(
            {
                "candidate.after_last": 0.5,
                "candidate.later_than_last": 0.6,
                "candidate.beside_last": 0.7,
                "candidate.after_last_two": 0.5,
                "candidate.step_from_last": 6.0,
                "candidate.log_next": 0.0,
                "candidate.category_of_last": 1.0,
                "candidate.session_category_share": 0.75,
                "candidate.price_to_last": np.log(8 / 4),
                "candidate.price_to_session": np.log(8) - np.log(8 * 2 * 4 * 4) / 4,
                "candidate.times_in_session": 1.0,
                "candidate.steps_since_seen": 3.0,
                "candidate.session_events": np.log(5),
                "candidate.session_items": np.log(4),
                "candidate.session_streak": 2.0,
                "candidate.minutes_since_last": 4.0,
                "candidate.table_age_days": 1.5,
                "candidate.unfinished_grade": 1.0,
                "candidate.unfinished_place": 2.0,
                "candidate.minutes_since_unfinished": 20.0,
            }
        )

    def test_what_followed_the_last_two_items_counts_beside_what_followed_the_last(self, world):
        history_of_two = history((2, 5), (0, 4))

        assert features_of(world, history_of_two, row=1)["candidate.after_last_two"] == (
            pytest.approx(0.7 + 0.2 * 0.5)
        )
        assert features_of(world, history_of_two, row=3)["candidate.after_last_two"] == 0.0

    def test_the_model_of_sessions_tells_candidates_apart_by_the_session(self, world):
        tables = world.tables
        context, following = np.zeros((len(world.catalogue), 3, 1)), tables.next_vectors.copy()
        context[0, 0], following[1] = np.log(2), 1.0
        tables = replace(tables, context_vectors=context.astype(np.float32), next_vectors=following)
        finder = CandidateFinder.of(replace(world, tables=tables), CandidatesConfig())
        batch = RequestBatch.unfiltered(("u", "v"), 10, AT)
        queries = finder.queries(batch, Histories.of([history((2, 5)), history((0, 5))]))

        found = session_features(np.array([1, 3, 1, 3], np.int32), np.array([0, 0, 1, 1]), queries)

        shares = np.exp(found[:, SESSION_FEATURES.index("candidate.log_next")])
        assert shares == pytest.approx([1 / 2, 1 / 2, 2 / 3, 1 / 3], rel=1e-5)

    def test_what_does_not_follow_the_last_item_has_no_weight(self, world):
        found = features_of(world, history((0, 5)), row=2)

        assert [found[name] for name in SESSION_FEATURES[:3]] == [0.0] * 3
        assert found["candidate.category_of_last"] == 0.0
        assert found["candidate.times_in_session"] == 0.0
        assert np.isnan(found["candidate.steps_since_seen"])

    def test_a_visitor_without_events_has_no_last_item(self, world):
        found = features_of(world, NO_EVENTS, row=1)

        nothing = ("times_in_session", "session_events", "session_items", "session_category_share")
        for name, value in found.items():
            if name.removeprefix("candidate.") in nothing:
                assert value == 0.0, name
            elif name != "candidate.table_age_days":
                assert np.isnan(value), name
