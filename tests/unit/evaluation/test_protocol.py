import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import PURCHASE, RATING
from serve_app.errors import NotEnoughData
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from serve_app.fitting.data.labels import LabelConfig
from serve_app.fitting.data.windows import select_before
from tests.support.hand_made_logs import demo_shop, log_of

CONFIG = ProtocolConfig(test_share=0.4, min_buyers=1)
REPEATS = LabelConfig(repeats=True)

SMALL = log_of(
    ("ann", 5, "purchase", 1),
    ("bob", 5, "purchase", 1),
    ("ann", 3, "purchase", 2),
    ("bob", 3, "purchase", 2),
    ("cas", 3, "purchase", 2),
    ("cas", 1, "purchase", 3),
    # The test period begins.
    ("ann", 1, "purchase", 4),
    ("ann", 5, "purchase", 5),
    ("bob", 5, "purchase", 5),
    ("dan", 1, "purchase", 5),
)


def wanted_of(split):
    """By id of a user, the rows of their wanted items."""
    rows = split.item_rows[split.wanted.items]
    bounds = split.wanted.offsets
    ids = [split.known.user_ids[number] for number in split.user_numbers[split.users]]
    return {
        user: set(rows[start:stop].tolist())
        for user, start, stop in zip(ids, bounds[:-1], bounds[1:], strict=True)
    }


class TestSplit:
    def test_splits_all_users_at_one_moment(self):
        split = split_at_share(SMALL, CONFIG)

        assert 3 * DAY_S < split.cut_at <= 4 * DAY_S
        assert split.known.at.max() < split.cut_at
        assert split.end_at == 5 * DAY_S

    def test_wants_new_items_of_users_with_a_history(self):
        assert wanted_of(split_at_share(SMALL, CONFIG)) == {"ann": {1}}

    def test_wants_repeats_where_they_are_allowed(self):
        split = split_at_share(SMALL, CONFIG.model_copy(update={"label": REPEATS}))

        assert wanted_of(split) == {"ann": {1, 5}, "bob": {5}}
        assert len(split.excluded.items) == 0

    def test_excludes_items_bought_before(self):
        split = split_at_share(SMALL, CONFIG)

        assert set(split.item_rows[split.excluded.items].tolist()) == {3, 5}

    def test_numbers_items_by_their_users_then_rows(self):
        assert split_at_share(SMALL, CONFIG).item_rows.tolist() == [3, 5, 1]

    def test_ranks_only_items_with_enough_buyers(self):
        config = CONFIG.model_copy(update={"min_buyers": 2, "label": REPEATS})
        split = split_at_share(SMALL, config)

        assert split.item_rows.tolist() == [3, 5]
        assert wanted_of(split) == {"ann": {5}, "bob": {5}}

    def test_trains_on_each_pair_once_with_its_age(self):
        log = log_of(
            ("ann", 0, "view", 1), ("ann", 0, "purchase", 3), ("bob", 0, "cart", 2),
            ("bob", 1, "purchase", 4), ("ann", 1, "purchase", 9), ("bob", 0, "purchase", 9),
        )  # fmt: skip
        split = split_at_share(log, CONFIG.model_copy(update={"test_share": 0.2}))

        assert split.training.matrix.toarray() == pytest.approx(np.array([[1.0, 0], [0.6, 1]]))
        assert split.training.ages.toarray()[0, 0] == pytest.approx(split.cut_at / DAY_S - 3)

    def test_moves_the_test_back_and_ignores_later_interactions(self):
        log = log_of(
            ("ann", 0, "purchase", 1), ("bob", 1, "purchase", 1), ("cas", 2, "purchase", 1),
            ("ann", 1, "purchase", 2), ("ann", 2, "purchase", 3), ("bob", 2, "purchase", 3),
        )  # fmt: skip
        split = split_at_share(log, ProtocolConfig(test_share=0.2, min_buyers=1, days_earlier=1.0))

        assert split.cut_at == pytest.approx(2 * DAY_S)
        assert split.end_at == 2 * DAY_S
        assert wanted_of(split) == {"ann": {1}}

    def test_samples_users_when_there_are_too_many(self):
        log = demo_shop()[2]
        config = ProtocolConfig(min_buyers=1)
        everybody = wanted_of(split_at_share(log, config))
        some = split_at_share(log, config.model_copy(update={"max_users": 20}))

        assert some.n_eligible == len(everybody) > 20
        assert len(some.users) == 20
        assert wanted_of(some).items() <= everybody.items()

    def test_training_does_not_depend_on_later_interactions(self):
        log = demo_shop()[2]
        split = split_at_share(log, ProtocolConfig())
        rng = np.random.default_rng(1)
        rows = np.where(log.at >= split.cut_at, rng.permutation(log.rows), log.rows)
        other = type(log)(log.user_ids, log.users, rows, log.types, log.values, log.at)
        shuffled = split_at_share(other, ProtocolConfig())

        np.testing.assert_array_equal(shuffled.item_rows, split.item_rows)
        np.testing.assert_array_equal(
            shuffled.training.matrix.toarray(), split.training.matrix.toarray()
        )
        np.testing.assert_array_equal(
            shuffled.training.ages.toarray(), split.training.ages.toarray()
        )
        assert wanted_of(shuffled) != wanted_of(split)


def by_hand(log, share, min_buyers):
    """The protocol in plain Python, with sets."""
    cut_at = np.quantile(log.at, 1 - share)
    lines = list(zip(log.users.tolist(), log.rows.tolist(), log.types, log.at, strict=True))
    bought = {(u, i) for u, i, kind, at in lines if kind == PURCHASE and at < cut_at}
    buyers = {}
    for user, item, _, at in lines:
        if at < cut_at:
            buyers.setdefault(item, set()).add(user)
    ranked = {item for item, users in buyers.items() if len(users) >= min_buyers}
    known = {u for u, i, _, at in lines if at < cut_at and i in ranked}
    wanted = {}
    for user, item, kind, at in lines:
        new = kind == PURCHASE and at >= cut_at and (user, item) not in bought
        if new and item in ranked and user in known:
            wanted.setdefault(log.user_ids[user], set()).add(item)
    return ranked, wanted


@pytest.mark.parametrize("min_buyers", [1, 5, 12])
def test_a_second_implementation_finds_the_same_split(min_buyers):
    log = demo_shop()[2]
    split = split_at_share(log, ProtocolConfig(min_buyers=min_buyers))
    ranked, wanted = by_hand(log, 0.2, min_buyers)

    assert set(split.item_rows.tolist()) == ranked
    assert wanted_of(split) == wanted


def test_only_good_ratings_are_hits():
    log = log_of(
        ("ann", 0, "rating", 1, 1.0), ("bob", 1, "rating", 1, 5.0), ("bob", 2, "rating", 1, 5.0),
        ("ann", 1, "rating", 3, 2.0), ("ann", 2, "rating", 3, 4.0),
    )  # fmt: skip
    split = split_at_share(log, CONFIG)

    assert split.label.type == RATING
    assert wanted_of(split) == {"ann": {2}}


def test_wants_what_was_taken_back_after_a_moved_test():
    events = [("ann", 0, "purchase", 1), ("bob", 1, "purchase", 1), ("ann", 1, "purchase", 3)]
    config = ProtocolConfig(test_share=0.4, min_buyers=1, days_earlier=1.0)
    kept, returned = (
        split_at_share(log_of(*events, ("ann", 1, kind, 6)), config) for kind in ("view", "return")
    )

    assert kept.end_at == returned.end_at == 5 * 86_400
    assert len(kept.wanted.items) == len(returned.wanted.items) == 1


class TestTooLittleData:
    def test_without_interactions(self):
        with pytest.raises(NotEnoughData, match="no interactions"):
            split_at_share(select_before(SMALL, 0.0), CONFIG)

    def test_when_no_item_has_enough_buyers(self):
        with pytest.raises(NotEnoughData, match="at least 4 users"):
            split_at_share(SMALL, CONFIG.model_copy(update={"min_buyers": 4}))

    def test_when_no_user_returns(self):
        with pytest.raises(NotEnoughData, match=r"no user with history .* have a") as failed:
            split_at_share(select_before(SMALL, 3.5 * DAY_S), CONFIG)

        assert "are a purchase, by" in str(failed.value)

    def test_when_nothing_lies_before_the_test(self):
        with pytest.raises(
            NotEnoughData, match="no interaction lies before the test, which begins"
        ):
            split_at_share(SMALL, CONFIG.model_copy(update={"days_earlier": 1_000}))
