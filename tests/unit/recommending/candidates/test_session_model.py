from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from serve_app.arrays.ragged import offsets_of
from serve_app.domain.candidate_tables import N_CONTEXTS
from serve_app.domain.sessions import Sessions
from serve_app.recommending.candidates.session_model import MAX_EVENTS, contexts_of, log_shares
from tests.support.small_world import small_world

LAST, BEFORE_LAST, LATEST = range(N_CONTEXTS)


def sessions_of(*rows):
    lengths = [len(each) for each in rows]
    total = sum(lengths)
    return Sessions(
        np.concatenate([*rows, []]).astype(np.int32), np.zeros(total), offsets_of(lengths)
    )


def parts_of(contexts):
    """By session, the weight of each row in each context."""
    entries = zip(contexts.rows, contexts.numbers, contexts.weights, strict=True)
    entries = [((int(row), int(number)), weight) for row, number, weight in entries]
    return [dict(entries[a:b]) for a, b in pairwise(contexts.offsets)]


class TestContexts:
    def test_tell_the_last_item_the_one_before_and_the_latest_apart(self):
        one, none, two = parts_of(contexts_of(sessions_of([7], [], [5, 4])))

        assert one == pytest.approx({(7, LAST): 1, (7, LATEST): 1})
        assert none == {}
        length = np.sqrt(1.9)
        assert two == pytest.approx(
            {
                (4, LAST): 1,
                (5, BEFORE_LAST): 1,
                (4, LATEST): 1 / length,
                (5, LATEST): 0.9 / length,
            }
        )

    def test_leave_out_what_lies_further_back(self):
        long = np.arange(MAX_EVENTS + 5)

        [parts] = parts_of(contexts_of(sessions_of(long)))
        [expected] = parts_of(contexts_of(sessions_of(long[5:])))

        assert parts == expected


@pytest.fixture
def tables():
    """Items 0, 1 and 3 are known. After item 0 comes item 1; all else is alike."""
    context, following = np.zeros((3, N_CONTEXTS, 2)), np.zeros((3, 2))
    context[0, LAST], following[1] = [2.0, 0.0], [1.0, 0.0]
    return replace(
        small_world().fitted.tables,
        session_items=np.array([0, 1, 3], np.int32),
        context_vectors=context.astype(np.float32),
        next_vectors=following.astype(np.float32),
        next_biases=np.zeros(3, np.float32),
    )


class TestLogShares:
    def test_are_those_among_the_candidates_of_the_request(self, tables):
        rows = np.array([0, 1, 3, 1, 3], np.int32)

        found = log_shares(rows, np.array([0, 0, 0, 1, 1]), sessions_of([3, 0], [0, 3]), tables)

        e = np.exp(2.0)
        assert np.exp(found) == pytest.approx(
            [1 / (2 + e), e / (2 + e), 1 / (2 + e), 0.5, 0.5], rel=1e-5
        )

    def test_an_item_that_the_model_does_not_know_has_none(self, tables):
        found = log_shares(np.array([1, 2]), np.array([0, 0]), sessions_of([0]), tables)

        assert found[0] == pytest.approx(0.0, abs=1e-6)
        assert np.isnan(found[1])

    def test_an_empty_session_has_none(self, tables):
        found = log_shares(np.array([1, 1]), np.array([0, 1]), sessions_of([], [0]), tables)

        assert np.isnan(found[0])
        assert found[1] == pytest.approx(0.0, abs=1e-6)

    def test_a_session_of_unknown_items_tells_known_ones_by_their_biases(self, tables):
        uneven = replace(tables, next_biases=np.array([0.0, np.log(3), 0.0], np.float32))

        found = log_shares(np.array([0, 1]), np.array([0, 0]), sessions_of([7, 2]), uneven)

        assert np.exp(found) == pytest.approx([0.25, 0.75])

    def test_a_model_without_items_says_nothing(self, tables):
        names = ("session_items", "context_vectors", "next_vectors", "next_biases")
        empty = replace(tables, **{name: getattr(tables, name)[:0] for name in names})

        found = log_shares(np.array([0, 1]), np.array([0, 0]), sessions_of([0]), empty)

        assert np.isnan(found).all()

    def test_large_scores_do_not_overflow(self, tables):
        large = replace(tables, next_biases=tables.next_biases + np.float32(1e3))

        found = log_shares(np.array([0, 3]), np.array([0, 0]), sessions_of([3]), large)

        assert np.exp(found) == pytest.approx([0.5, 0.5], rel=1e-4)

    def test_no_candidates_have_none(self, tables):
        nobody = np.empty(0, np.int64)

        assert len(log_shares(nobody.astype(np.int32), nobody, sessions_of([0]), tables)) == 0
