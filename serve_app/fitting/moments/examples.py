"""Makes training examples: candidates of past moments, their features and their outcomes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.arrays.grouping import positions_in
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners
from serve_app.domain.batches import CandidateBatch, RequestBatch, ScoringBatch
from serve_app.domain.interactions import GRADE_GAINS, MAX_EVENTS, InteractionLog
from serve_app.fitting.data.moments import histories_at
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.scoring.model_features import FEATURES, assemble, user_features

BLOCK_USERS = 256
"""Users whose candidates are in memory together."""

LESS_THAN_ONE_EVENT = math.log1p(1) / 2
"""A value of ``candidate.log_events`` between those of no event and of one."""

_LOG_EVENTS = FEATURES.index("candidate.log_events")

# Sources do not look at the length of the list.
_LIST_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Examples:
    """Candidates with their features and outcomes, user after user.

    Attributes:
        matrix: shape (total, len(FEATURES)), float32.
        strengths: shape (total,), uint8, grade of the strongest interaction, 0 without one.
        shares: shape (total,), float32, share of the grade's gain that counts, in (0, 1].
        offsets: shape (n_users + 1,), int64.
    """

    matrix: NDArray[np.float32]
    strengths: NDArray[np.uint8]
    shares: NDArray[np.float32]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def gains(self) -> NDArray[np.float32]:
        """Relevance that models learn, shape (total,)."""
        gains: NDArray[np.float32] = GRADE_GAINS[self.strengths] * self.shares
        return gains

    @property
    def exponential_gains(self) -> NDArray[np.float32]:
        """Relevance of NDCG, shape (total,): 2^gain - 1, as Burges et al. (ICML 2005) have it."""
        gains: NDArray[np.float32] = (np.exp2(GRADE_GAINS) - 1)[self.strengths] * self.shares
        return gains

    def first(self, n: int) -> "Examples":
        """The examples of the first n users, without a copy."""
        end = self.offsets[n]
        return Examples(
            self.matrix[:end], self.strengths[:end], self.shares[:end], self.offsets[: n + 1]
        )

    def of_users(self, numbers: NDArray[np.integer]) -> "Examples":
        """The examples of some of the users."""
        positions, offsets = gather(self.offsets, numbers)
        return self.at(positions, offsets)

    def at(self, kept: Mask | NDArray[np.int64], offsets: Offsets) -> "Examples":
        return Examples(self.matrix[kept], self.strengths[kept], self.shares[kept], offsets)


class Block(NamedTuple):
    """Up to ``BLOCK_USERS`` consecutive moments of ``Outcomes``, and their candidates.

    There is one example for each candidate.
    """

    users: slice
    candidates: CandidateBatch
    examples: Examples


def make_blocks(
    snapshot: Snapshot, log: InteractionLog, outcomes: Outcomes, config: CandidatesConfig
) -> Iterator[Block]:
    """Makes the blocks of all moments."""
    return (make_block(snapshot, log, outcomes, part, config) for part in cut_parts(len(outcomes)))


def cut_parts(n_users: int) -> list[slice]:
    """Slices of users, one for each block."""
    starts = range(0, n_users, BLOCK_USERS)
    return [slice(start, min(start + BLOCK_USERS, n_users)) for start in starts]


def make_block(
    snapshot: Snapshot,
    log: InteractionLog,
    outcomes: Outcomes,
    part: slice,
    config: CandidatesConfig,
    step_gain: float = 1.0,
    max_events: int = MAX_EVENTS,
) -> Block:
    """Finds the candidates that a block of users would have got at their moments.

    The tables are those of the snapshot, the histories end at the moments. The stock of that time
    is unknown, and items out of stock stay candidates.

    Args:
        log: with everything that users did before their moments.
        part: the block, as a slice of the outcomes.
        step_gain: factor of the gain for each step to the outcome, at moments within the window.
        max_events: see ``histories_at``.
    """
    moments, fitted = outcomes.moments.take(part), snapshot.fitted
    users = moments.users
    batch = RequestBatch.unfiltered(("",) * len(users), _LIST_LENGTH, moments.at)
    finder = CandidateFinder.of(fitted, config, include_out_of_stock=True)
    histories = histories_at(log, moments, snapshot.label.ending_types, max_events)
    candidates = finder.find(batch, histories)
    features = user_features(snapshot.users[users], batch.at)
    scoring = ScoringBatch.of(candidates, features, batch.at)
    matrix = np.ascontiguousarray(assemble(FEATURES, fitted.catalogue, scoring))
    is_inside = moments.at > snapshot.at
    strengths, shares = _label(candidates, outcomes, part, np.where(is_inside, step_gain, 1.0))
    return Block(part, candidates, Examples(matrix, strengths, shares, candidates.offsets))


def drop_negatives(examples: Examples, n_negatives: int, rng: np.random.Generator) -> Examples:
    """Drops users without a touched candidate, and untouched ones beyond about n of each user."""
    lists = owners(examples.offsets)
    touched = have_touched(examples)
    lengths = np.diff(examples.offsets)[lists]
    # Each untouched candidate is drawn by itself: their number is n on average, not exactly.
    kept = (examples.strengths > 0) | (rng.random(len(lists)) * lengths < n_negatives)
    kept &= touched[lists]
    counts = np.bincount(lists[kept], minlength=len(examples))[touched]
    return examples.at(kept, offsets_of(counts))


def have_touched(examples: Examples) -> Mask:
    """Users who touched any of their candidates, shape (len(examples),)."""
    lists = owners(examples.offsets)
    return np.bincount(lists, examples.strengths > 0, minlength=len(examples)) > 0


def are_newcomers(examples: Examples) -> Mask:
    """Users without any event, shape (len(examples),); users without candidates do not count."""
    newcomers = np.zeros(len(examples), bool)
    # All candidates of a user have the same number of events.
    listed = np.flatnonzero(np.diff(examples.offsets))
    log_events = examples.matrix[examples.offsets[listed], _LOG_EVENTS]
    newcomers[listed] = log_events < LESS_THAN_ONE_EVENT
    return newcomers


def concatenate_examples(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.matrix for part in parts]),
        np.concatenate([part.strengths for part in parts]),
        np.concatenate([part.shares for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
    )


def _label(
    candidates: CandidateBatch, outcomes: Outcomes, part: slice, step_gains: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Strengths and shares of the candidates; step gains have shape (len(candidates),)."""
    positions, offsets = gather(outcomes.offsets, np.arange(part.start, part.stop))
    numbers, n_rows = owners(offsets), int(outcomes.rows.max(initial=0)) + 1
    n_rows = max(n_rows, int(candidates.rows.max(initial=0)) + 1)
    # One number per moment and item. Ascending: rows ascend within a moment.
    touched = numbers * n_rows + outcomes.rows[positions]
    keys = owners(candidates.offsets) * n_rows + candidates.rows
    at = positions_in(keys, touched)
    is_touched = touched[at] == keys
    strengths = np.where(is_touched, outcomes.strengths[positions][at], 0).astype(np.uint8)
    shares = (step_gains[numbers] ** outcomes.steps[positions])[at]
    return strengths, np.where(is_touched, shares, 1.0).astype(np.float32)
