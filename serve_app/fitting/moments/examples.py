"""Candidates of past moments with their features, and what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners
from serve_app.domain.batches import CandidateBatch, RequestBatch, ScoringBatch
from serve_app.domain.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.domain.scoring.model_features import FEATURES, assemble, user_features
from serve_app.fitting.data.windows import Outcomes
from serve_app.fitting.moments.snapshot import Snapshot

BLOCK_USERS = 256
_N_WANTED = 10


@dataclass(frozen=True, slots=True)
class Examples:
    """
    Candidates, user after user.

    Attributes:
        matrix: shape (total, len(FEATURES)), float32.
        strengths: shape (total,), uint8, what the user did with each, 0 for nothing.
        offsets: shape (n_users + 1,), int64.
    """

    matrix: NDArray[np.float32]
    strengths: NDArray[np.uint8]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def first(self, n: int) -> "Examples":
        """The examples of the first n users; nothing is copied."""
        end = self.offsets[n]
        return Examples(self.matrix[:end], self.strengths[:end], self.offsets[: n + 1])

    def lists(self, numbers: NDArray[np.integer]) -> "Examples":
        """The examples of some of the users."""
        positions, offsets = gather(self.offsets, numbers)
        return Examples(self.matrix[positions], self.strengths[positions], offsets)


class Block(NamedTuple):
    """
    Some of the users of ``Outcomes``.

    Attributes:
        users: slice of the outcomes' users.
        candidates: of each of them.
        examples: the same candidates.
    """

    users: slice
    candidates: CandidateBatch
    examples: Examples


def blocks(world: Snapshot, found: Outcomes, config: CandidatesConfig) -> Iterator[Block]:
    """The blocks of all users."""
    return (block_of(world, found, part, config) for part in parts_of(len(found)))


def parts_of(n_users: int) -> list[slice]:
    """Users that are worked on together."""
    starts = range(0, n_users, BLOCK_USERS)
    return [slice(start, min(start + BLOCK_USERS, n_users)) for start in starts]


def block_of(world: Snapshot, found: Outcomes, part: slice, config: CandidatesConfig) -> Block:
    """
    The candidates that some users would have been given at the moment of the snapshot.

    What was in stock then is not known, so stock is ignored.

    Args:
        part: of the outcomes' users.
    """
    users = found.users[part]
    batch = RequestBatch.unfiltered(("",) * len(users), _N_WANTED, world.at)
    finder = CandidateFinder.of(world.fitted, config, include_out_of_stock=True)
    candidates = finder.find(batch, world.fitted.archive.of_rows(users, stale=False))
    features = user_features(world.users[users], world.at)
    scoring = ScoringBatch.of(candidates, features, world.at)
    matrix = np.ascontiguousarray(assemble(FEATURES, world.fitted.catalogue, scoring))
    strengths = _strengths(candidates, found, part, len(world.fitted.catalogue))
    return Block(part, candidates, Examples(matrix, strengths, candidates.offsets))


def thinned(examples: Examples, n_negatives: int, rng: np.random.Generator) -> Examples:
    """
    Users without a touched candidate left out, and at most about n untouched candidates of each.
    """
    lists = owners(examples.offsets)
    touched = have_touched(examples)
    lengths = np.diff(examples.offsets)[lists]
    kept = (examples.strengths > 0) | (rng.random(len(lists)) * lengths < n_negatives)
    kept &= touched[lists]
    counts = np.bincount(lists[kept], minlength=len(examples))[touched]
    return Examples(examples.matrix[kept], examples.strengths[kept], offsets_of(counts))


def have_touched(examples: Examples) -> Mask:
    """Which users did anything with any of their candidates, shape (len(examples),)."""
    lists = owners(examples.offsets)
    return np.bincount(lists, examples.strengths > 0, minlength=len(examples)) > 0


def joined(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([each.matrix for each in parts]),
        np.concatenate([each.strengths for each in parts]),
        offsets_of(np.concatenate([np.diff(each.offsets) for each in parts])),
    )


def _strengths(
    candidates: CandidateBatch, found: Outcomes, part: slice, n_rows: int
) -> NDArray[np.uint8]:
    positions, offsets = gather(found.offsets, np.arange(part.start, part.stop))
    # Ascending: users in order, and rows ascending within each.
    wanted = owners(offsets) * n_rows + found.rows[positions]
    keys = owners(candidates.offsets) * n_rows + candidates.rows
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.where(wanted[at] == keys, found.strengths[positions][at], 0).astype(np.uint8)
