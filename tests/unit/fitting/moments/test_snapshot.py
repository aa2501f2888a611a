import numpy as np

from serve_app.arrays.columns import IdIndex
from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import TYPE_CODES
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.moments.snapshot import build_archive, listed_at
from tests.support.hand_made_logs import items_of, log_of

NOTHING = log_of(users=())


class TestSnapshot:
    def test_archive_holds_the_events_of_every_user_in_order(self):
        log = log_of(("bob", 3, "view", 2), ("ann", 1, "rating", 9, 5.0), ("ann", 2, "purchase", 1))

        histories = build_archive(log, IdIndex.of(log.user_ids), BOUGHT).read(
            ["bob", "ann", "nobody"], stale=True
        )

        assert histories.offsets.tolist() == [0, 1, 3, 3]
        assert histories.of_user(1)["row"].tolist() == [2, 1]
        assert histories.of_user(1)["value"][1] == 5.0
        assert histories.stale.all()

    def test_lists_items_from_their_first_moment_on(self):
        items = items_of(3, created_at=[1 * DAY_S, 3 * DAY_S, np.nan])

        listed = listed_at(build_catalogue(items, NOTHING, 2), 2 * DAY_S)

        assert listed.tolist() == [True, False, True]


def test_models_learn_from_histories_of_the_length_that_is_served():
    log = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 1, "view", 2),
        ("ann", 1, "purchase", 3),
        ("ann", 1, "view", 4),
        ("bob", 2, "view", 5),
    )

    archive = build_archive(log, IdIndex.of(log.user_ids), BOUGHT, 2)

    histories = archive.read(["ann", "bob"], stale=False)
    assert (histories.of_user(0)["at"] / DAY_S).tolist() == [1, 3, 4]
    assert (histories.of_user(1)["at"] / DAY_S).tolist() == [5]


def test_the_counted_interaction_stays_known_however_long_ago_it_was():
    log = log_of(
        ("ann", 0, "click", 1),
        ("ann", 1, "view", 2),
        ("ann", 2, "purchase", 3),
        ("ann", 3, "view", 4),
    )

    archive = build_archive(log, IdIndex.of(log.user_ids), Label(TYPE_CODES["click"]), 1)

    assert archive.read(["ann"], stale=False).of_user(0)["row"].tolist() == [0, 2, 3]
