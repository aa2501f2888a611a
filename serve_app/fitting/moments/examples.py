"""Makes training examples: candidates of past moments, their features and their outcomes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners
from serve_app.domain.batches import CandidateBatch, RequestBatch, ScoringBatch
from serve_app.domain.interactions import MAX_EVENTS, InteractionLog
from serve_app.fitting.data.moments import histories_at
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.scoring.model_features import FEATURES, assemble, user_features

BLOCK_USERS = 256
"""Users whose candidates are in memory together."""

# Sources do not look at the length of the list.
_LIST_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Examples:
    """Candidates with their features and outcomes, user after user.

    Attributes:
        matrix: shape (total, len(FEATURES)), float32.
        strengths: shape (total,), uint8, grade of the strongest interaction, 0 without one.
        offsets: shape (n_users + 1,), int64.
    """

    matrix: NDArray[np.float32]
    strengths: NDArray[np.uint8]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def first(self, n: int) -> "Examples":
        """The examples of the first n users, without a copy."""
        end = self.offsets[n]
        return Examples(self.matrix[:end], self.strengths[:end], self.offsets[: n + 1])

    def of_users(self, numbers: NDArray[np.integer]) -> "Examples":
        """The examples of some of the users."""
        positions, offsets = gather(self.offsets, numbers)
        return Examples(self.matrix[positions], self.strengths[positions], offsets)


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
    max_events: int = MAX_EVENTS,
) -> Block:
    """Finds the candidates that a block of users would have got at their moments.

    The tables are those of the snapshot, the histories end at the moments. The stock of that time
    is unknown, and items out of stock stay candidates.

    Args:
        log: with everything that users did before their moments.
        part: the block, as a slice of the outcomes.
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
    strengths = _strengths(candidates, outcomes, part, len(fitted.catalogue))
    return Block(part, candidates, Examples(matrix, strengths, candidates.offsets))


def drop_negatives(examples: Examples, n_negatives: int, rng: np.random.Generator) -> Examples:
    """Drops users without a touched candidate, and untouched ones beyond about n of each user."""
    lists = owners(examples.offsets)
    touched = have_touched(examples)
    lengths = np.diff(examples.offsets)[lists]
    # Each untouched candidate is drawn by itself: their number is n on average, not exactly.
    kept = (examples.strengths > 0) | (rng.random(len(lists)) * lengths < n_negatives)
    kept &= touched[lists]
    counts = np.bincount(lists[kept], minlength=len(examples))[touched]
    return Examples(examples.matrix[kept], examples.strengths[kept], offsets_of(counts))


def have_touched(examples: Examples) -> Mask:
    """Users who touched any of their candidates, shape (len(examples),)."""
    lists = owners(examples.offsets)
    return np.bincount(lists, examples.strengths > 0, minlength=len(examples)) > 0


def concatenate_examples(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.matrix for part in parts]),
        np.concatenate([part.strengths for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
    )


def _strengths(
    candidates: CandidateBatch, outcomes: Outcomes, part: slice, n_rows: int
) -> NDArray[np.uint8]:
    positions, offsets = gather(outcomes.offsets, np.arange(part.start, part.stop))
    # One number per user and item. Ascending: users are in order, and rows ascend within a user.
    wanted = owners(offsets) * n_rows + outcomes.rows[positions]
    keys = owners(candidates.offsets) * n_rows + candidates.rows
    # A key above all others is searched behind the end; the comparison then tells it apart.
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.where(wanted[at] == keys, outcomes.strengths[positions][at], 0).astype(np.uint8)
