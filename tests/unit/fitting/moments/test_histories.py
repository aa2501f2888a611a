import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve_app.arrays.columns import IdIndex
from serve_app.arrays.ragged import offsets_of
from serve_app.domain.interactions import EVENT, PURCHASE, latest, make_events
from serve_app.fitting.moments.snapshot import archive_of
from tests.support.hand_made_logs import DAY_S, log_of

HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, PURCHASE])), max_size=12), max_size=4
)


def of(*rows_and_types):
    rows, types = zip(*rows_and_types, strict=True)
    return make_events(rows, types, np.arange(len(rows)))


class TestLatest:
    def test_keeps_the_last_events_and_the_last_purchase_of_every_item(self):
        events = of((1, 3), (1, 3), (2, 0), (3, 3), (1, 0), (4, 0))

        assert np.flatnonzero(latest(events, np.array([0, 6]), 2)).tolist() == [1, 3, 4, 5]

    @given(HISTORIES, st.integers(1, 6))
    def test_treats_every_user_alone(self, histories, limit):
        own = [of(*each) if each else np.empty(0, EVENT) for each in histories]
        together = np.concatenate([*own, np.empty(0, EVENT)])

        kept = latest(together, offsets_of([len(each) for each in own]), limit)

        alone = [latest(each, np.array([0, len(each)]), limit) for each in own]
        assert kept.tolist() == [bool(flag) for each in alone for flag in each]


def test_models_learn_from_histories_of_the_length_that_is_served():
    log = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 1, "view", 2),
        ("ann", 1, "purchase", 3),
        ("ann", 1, "view", 4),
        ("bob", 2, "view", 5),
    )

    archive = archive_of(log, IdIndex.of(log.user_ids), 2)

    histories = archive.read(["ann", "bob"], stale=False)
    assert (histories.of_user(0)["at"] / DAY_S).tolist() == [1, 3, 4]
    assert (histories.of_user(1)["at"] / DAY_S).tolist() == [5]
