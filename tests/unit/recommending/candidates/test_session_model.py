from dataclasses import replace

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
    return [
        {
            (int(cell) // N_CONTEXTS, int(cell) % N_CONTEXTS): weight
            for cell, weight in zip(contexts.cells[a:b], contexts.weights[a:b], strict=True)
        }
        for a, b in zip(contexts.offsets, contexts.offsets[1:], strict=False)
    ]


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
    """Items 0 to 2 are known. After item 0 comes item 1; all else is alike."""
    tables = small_world().fitted.tables
    n = len(tables.trends)
    context, following = np.zeros((n, N_CONTEXTS, 2)), np.zeros((n, 2))
    context[0, LAST], following[1] = [2.0, 0.0], [1.0, 0.0]
    biases = np.full(n, np.nan)
    biases[:3] = 0.0
    return replace(
        tables,
        context_vectors=context.astype(np.float32),
        next_vectors=following.astype(np.float32),
        next_biases=biases.astype(np.float32),
    )


class TestLogShares:
    def test_are_those_among_the_candidates_of_the_request(self, tables):
        rows = np.array([0, 1, 2, 1, 2], np.int32)

        found = log_shares(rows, np.array([0, 0, 0, 1, 1]), sessions_of([2, 0], [0, 2]), tables)

        e = np.exp(2.0)
        assert np.exp(found) == pytest.approx(
            [1 / (2 + e), e / (2 + e), 1 / (2 + e), 0.5, 0.5], rel=1e-5
        )

    def test_an_item_that_the_model_does_not_know_has_none(self, tables):
        found = log_shares(np.array([1, 4]), np.array([0, 0]), sessions_of([0]), tables)

        assert found[0] == pytest.approx(0.0, abs=1e-6)
        assert np.isnan(found[1])

    def test_an_empty_session_has_none(self, tables):
        found = log_shares(np.array([1, 1]), np.array([0, 1]), sessions_of([], [0]), tables)

        assert np.isnan(found[0])
        assert found[1] == pytest.approx(0.0, abs=1e-6)

    def test_large_scores_do_not_overflow(self, tables):
        large = replace(tables, next_biases=tables.next_biases + np.float32(1e3))

        found = log_shares(np.array([0, 2]), np.array([0, 0]), sessions_of([2]), large)

        assert np.exp(found) == pytest.approx([0.5, 0.5], rel=1e-4)

    def test_no_candidates_have_none(self, tables):
        nobody = np.empty(0, np.int64)

        assert len(log_shares(nobody.astype(np.int32), nobody, sessions_of([0]), tables)) == 0
