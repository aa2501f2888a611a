from dataclasses import replace

import numpy as np
import pytest

from serve_app.arrays.ragged import offsets_of
from serve_app.arrays.units import DAY_S, MINUTE_S
from serve_app.domain.interactions import TYPE_CODES, InteractionLog
from serve_app.domain.sessions import Sessions
from serve_app.fitting.tables.session_training import train_session_model
from serve_app.fitting.tables.tables_config import MIN_SESSION_STEPS as MIN_STEPS
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.recommending.candidates.session_model import log_shares
from tests.support.small_world import small_world

CONFIG = TablesConfig(session_dim=16)
TABLES = small_world().fitted.tables
N_VISITS = 2_500


def visits(rows, pause_s=MINUTE_S):
    """A log in which each user comes once; rows of shape (n_users, n_events)."""
    rows = np.asarray(rows)
    n_users, n_events = rows.shape
    at = np.arange(n_users)[:, None] * DAY_S + np.arange(n_events) * pause_s
    n = rows.size
    return InteractionLog(
        [f"u{i:06}" for i in range(n_users)],
        np.repeat(np.arange(n_users, dtype=np.int32), n_events),
        rows.ravel().astype(np.int32),
        np.full(n, TYPE_CODES["view"], np.uint8),
        np.full(n, np.nan, np.float32),
        at.ravel().astype(float),
    )


def shares_after(session, n_rows, trained):
    """Probabilities of all rows to come next."""
    rows = np.arange(n_rows, dtype=np.int32)
    events = Sessions(
        np.array(session, np.int32), np.zeros(len(session)), offsets_of([len(session)])
    )
    tables = replace(TABLES, **trained._asdict())
    return np.exp(log_shares(rows, np.zeros(n_rows, np.int64), events, tables))


class TestSessionModel:
    def test_learns_what_follows_the_last_item(self):
        # Visitors of item 0 go on to item 1 or 2, those of item 3 to item 4 or 5.
        random = np.random.default_rng(0)
        first = 3 * random.integers(0, 2, 2 * N_VISITS)
        log = visits(np.column_stack((first, first + random.integers(1, 3, len(first)))))

        trained = train_session_model(log, 6, CONFIG)

        assert shares_after([0], 6, trained)[[1, 2]] == pytest.approx([0.5, 0.5], abs=0.1)
        assert shares_after([3], 6, trained)[[4, 5]] == pytest.approx([0.5, 0.5], abs=0.1)

    def test_learns_from_the_item_before_the_last(self):
        # Item 2 follows both; only the item before it tells what comes next.
        first = np.arange(N_VISITS) % 2
        log = visits(np.column_stack((first, np.full(N_VISITS, 2), first + 3)))

        trained = train_session_model(log, 5, CONFIG)

        assert shares_after([0, 2], 5, trained)[3] > 0.8
        assert shares_after([1, 2], 5, trained)[4] > 0.8

    def test_learns_the_same_where_items_are_too_many_to_compare_all(self):
        n_items = 400
        first = np.random.default_rng(0).integers(0, n_items, 40 * n_items)
        log = visits(np.column_stack((first, (first + 1) % n_items)))

        trained = train_session_model(log, n_items, CONFIG)

        found = [np.argmax(shares_after([row], n_items, trained)) for row in range(0, n_items, 10)]
        assert found == [row + 1 for row in range(0, n_items, 10)]

    def test_items_that_are_not_drawn_do_not_shift_the_shares(self):
        # Nothing depends on the first item. The second is often item 0, and rarely one of many.
        n_items = 1_000
        random = np.random.default_rng(0)
        rare = random.integers(1, n_items, 20_000)
        second = np.where(random.random(len(rare)) < 0.5, 0, rare)
        log = visits(np.column_stack((random.integers(1, n_items, len(rare)), second)))

        trained = train_session_model(log, n_items, CONFIG)

        shares = np.mean([shares_after([row], n_items, trained) for row in range(1, 50)], axis=0)
        assert shares[0] == pytest.approx(0.5, abs=0.1)

    def test_every_event_of_a_later_moment_follows_on_the_earlier_ones(self):
        # After item 0, items 1 and 2 come at one moment.
        n_users = MIN_STEPS
        log = visits(np.tile([0, 1, 2], (n_users, 1)))
        at = log.at.reshape(n_users, 3)
        log = replace(log, at=np.column_stack((at[:, 0], at[:, 1], at[:, 1])).ravel())

        trained = train_session_model(log, 3, CONFIG)

        assert shares_after([0], 3, trained)[[1, 2]] == pytest.approx([0.5, 0.5], abs=0.1)

    def test_an_item_that_nothing_follows_says_nothing(self):
        random = np.random.default_rng(0)
        rows = random.integers(0, 5, (N_VISITS, 2))
        log = visits(np.column_stack((rows, np.full(N_VISITS, 5))))

        trained = train_session_model(log, 6, CONFIG)

        assert not trained.context_vectors[5].any()

    def test_equal_logs_give_equal_models(self):
        log = visits(np.random.default_rng(0).integers(0, 50, (N_VISITS, 4)))

        for one, other in zip(*(train_session_model(log, 50, CONFIG) for _ in "12"), strict=True):
            assert np.array_equal(one, other)

    def test_few_steps_teach_nothing(self):
        log = visits(np.tile([0, 1], (MIN_STEPS - 1, 1)))

        trained = train_session_model(log, 2, CONFIG)

        assert len(trained.session_items) == 0
        assert trained.context_vectors.shape == (0, 3, 16)

    def test_a_shop_without_events_has_none(self):
        trained = train_session_model(visits(np.empty((0, 1))), 2, CONFIG)

        assert len(trained.session_items) == 0

    def test_events_of_one_moment_are_no_steps(self):
        log = visits(np.tile([0, 1], (MIN_STEPS, 1)), pause_s=0.0)

        assert len(train_session_model(log, 2, CONFIG).session_items) == 0

    def test_knows_the_items_with_the_most_steps(self):
        rows = np.concatenate((np.tile([0, 1, 2], (N_VISITS, 1)), np.tile([1, 2, 3], (9, 1))))
        config = CONFIG.model_copy(update={"max_session_items": 3})

        trained = train_session_model(visits(rows), 4, config)

        assert trained.session_items.tolist() == [0, 1, 2]

    def test_the_latest_steps_count(self):
        old, late = np.tile([0, 1], (MIN_STEPS, 1)), np.tile([0, 2], (MIN_STEPS, 1))
        config = CONFIG.model_copy(update={"max_session_steps": MIN_STEPS})

        trained = train_session_model(visits(np.concatenate((old, late))), 3, config)

        assert trained.session_items.tolist() == [0, 2]
