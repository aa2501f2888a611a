"""Candidates of past moments with their features, and what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.allowed import AllowedItems
from serve_app.domain.batches import CandidateBatch, RequestBatch, ScoringBatch
from serve_app.domain.candidates import CandidatesConfig, find_candidates
from serve_app.domain.features import FEATURES, assemble, user_features
from serve_app.domain.ragged import Offsets, gather, offsets_of, owners
from serve_app.offline.snapshot import Snapshot
from serve_app.offline.windows import Outcomes

_BLOCK_USERS = 256
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


def blocks(
    world: Snapshot, found: Outcomes, user_ids: tuple[str, ...], config: CandidatesConfig
) -> Iterator[Block]:
    """
    The candidates that the users would have been given at the moment of the snapshot.

    What was in stock then is not known, so stock is ignored.
    """
    allowed = AllowedItems(world.catalogue, include_out_of_stock=True)
    for start in range(0, len(found), _BLOCK_USERS):
        part = slice(start, min(start + _BLOCK_USERS, len(found)))
        users = found.users[part]
        batch = _requests(tuple(user_ids[user] for user in users), world.at)
        histories = world.archive.read(batch.user_ids, stale=False)
        candidates = find_candidates(
            batch, histories, world.catalogue, world.tables, config, allowed=allowed
        )
        scoring = ScoringBatch(
            bundle=batch.bundle,
            at=world.at,
            offsets=candidates.offsets,
            rows=candidates.rows,
            candidate_features=candidates.features,
            user_features=user_features(world.users[users], world.at),
        )
        matrix = assemble(FEATURES, world.catalogue, scoring)
        strengths = _strengths(candidates, found, part, len(world.catalogue))
        yield Block(part, candidates, Examples(matrix, strengths, candidates.offsets))


def thinned(examples: Examples, n_negatives: int, rng: np.random.Generator) -> Examples:
    """
    Users without a touched candidate left out, and at most about n untouched candidates of each.
    """
    lists = owners(examples.offsets)
    touched = np.bincount(lists, examples.strengths > 0, minlength=len(examples)) > 0
    lengths = np.diff(examples.offsets)[lists]
    kept = (examples.strengths > 0) | (rng.random(len(lists)) * lengths < n_negatives)
    kept &= touched[lists]
    counts = np.bincount(lists[kept], minlength=len(examples))[touched]
    return Examples(examples.matrix[kept], examples.strengths[kept], offsets_of(counts))


def joined(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([each.matrix for each in parts]),
        np.concatenate([each.strengths for each in parts]),
        offsets_of(np.concatenate([np.diff(each.offsets) for each in parts])),
    )


def _requests(user_ids: tuple[str, ...], at: float) -> RequestBatch:
    n = len(user_ids)
    return RequestBatch("", user_ids, np.full(n, _N_WANTED, np.int32), (None,) * n, at)


def _strengths(
    candidates: CandidateBatch, found: Outcomes, part: slice, n_rows: int
) -> NDArray[np.uint8]:
    positions, offsets = gather(found.offsets, np.arange(part.start, part.stop))
    # Ascending: users in order, and rows ascending within each.
    wanted = owners(offsets) * n_rows + found.rows[positions]
    keys = owners(candidates.offsets) * n_rows + candidates.rows
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.where(wanted[at] == keys, found.strengths[positions][at], 0).astype(np.uint8)
