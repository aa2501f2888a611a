"""Defines the messages between the stages: batches of requests as flat arrays.

A single request is a batch of one. Lists of unequal length are values and offsets. Items are row
numbers of the catalogue whose version is in the message.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners
from serve_app.domain.filters.masks import Filter
from serve_app.domain.item_patches import ChangedNames, ItemPatch


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """Requests that are answered together from one bundle.

    Attributes:
        bundle: version of the bundle that answers all requests.
        user_ids: one per request.
        sizes: shape (n,), int32, lengths of the lists.
        filters: one per request, or ``None``.
        at: shape (n,), float64, epoch seconds at which each request is answered.
        shop_id: of the database that the bundle was fitted on; empty where none is known.
        revision: of the shop that the sender knows; no answer is of an earlier one.
    """

    bundle: str
    user_ids: tuple[str, ...]
    sizes: NDArray[np.int32]
    filters: tuple[Filter | None, ...]
    at: NDArray[np.float64]
    shop_id: str = ""
    revision: int = 0

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def unfiltered(
        cls,
        user_ids: tuple[str, ...],
        size: int,
        at: float | NDArray[np.float64],
        bundle: str = "",
    ) -> "RequestBatch":
        """Requests for ``size`` items each, without filters, at one moment or each at its own."""
        n = len(user_ids)
        moments = np.full(n, at, np.float64)
        return cls(bundle, user_ids, np.full(n, size, np.int32), (None,) * n, moments)


@dataclass(frozen=True, slots=True)
class MetadataBatch:
    """Items whose metadata are shown in the answers of a batch.

    Attributes:
        item_ids: distinct.
        shop_id: as in ``RequestBatch``.
    """

    item_ids: tuple[str, ...]
    shop_id: str = ""


@dataclass(frozen=True, slots=True)
class UserFeatures:
    """Model features of the users of a batch.

    Attributes:
        values: shape (n, f), float32, columns as ``model_features.USER_FEATURES``.
        defaulted: shape (n,), bool, rows of defaults because no store answered. The defaults of an
            unknown user do not count.
    """

    values: NDArray[np.float32]
    defaulted: Mask


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """Candidates of each request, no item twice, best fused score first.

    Attributes:
        bundle: version of the catalogue that ``rows`` number.
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32.
        features: shape (total, f), float32, columns as ``CANDIDATE_FEATURES``.
        because: shape (total,), int32, the item of the user's history that led to the candidate,
            or ``MISSING``.
        because_type: shape (total,), uint8, the user's interaction with it, a code of ``TYPES``.
        stale: shape (n,), bool, True if the user's history came from the archive.
        revision: of the shop that all of this was computed from.
        patch: numbers of candidates that differ from the bundle; ``None`` if none does.
        names: names of candidates and their causes that differ; ``None`` if none does.
        is_behind: True if the revision is earlier than the one that the sender knows, or unknown.
    """

    bundle: str
    offsets: Offsets
    rows: Rows
    features: NDArray[np.float32]
    because: Rows
    because_type: NDArray[np.uint8]
    stale: Mask
    revision: int = 0
    patch: ItemPatch | None = None
    names: ChangedNames | None = None
    is_behind: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class ScoringBatch:
    """The input of a scorer: candidates of some requests, with features.

    Attributes:
        bundle: version of the catalogue and of the model.
        at: shape (n,), float64, epoch seconds at which each request is answered.
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32.
        candidate_features: shape (total, f), float32.
        user_features: shape (n, g), float32.
        patch: as in ``CandidateBatch``.
    """

    bundle: str
    at: NDArray[np.float64]
    offsets: Offsets
    rows: Rows
    candidate_features: NDArray[np.float32]
    user_features: NDArray[np.float32]
    patch: ItemPatch | None = None

    @classmethod
    def of(
        cls,
        candidates: CandidateBatch,
        user_features: NDArray[np.float32],
        at: NDArray[np.float64],
    ) -> "ScoringBatch":
        """All candidates of a batch, with the features of its users; copies nothing."""
        offsets, rows = candidates.offsets, candidates.rows
        patch = candidates.patch
        return cls(candidates.bundle, at, offsets, rows, candidates.features, user_features, patch)

    def part(self, requests: NDArray[np.integer]) -> tuple["ScoringBatch", NDArray[np.int64]]:
        """Some of the requests, and the positions of their candidates in this batch."""
        positions, offsets = gather(self.offsets, requests)
        rows, features = self.rows[positions], self.candidate_features[positions]
        users = self.user_features[requests]
        at = self.at[requests]
        part = ScoringBatch(self.bundle, at, offsets, rows, features, users, self.patch)
        return part, positions


@dataclass(frozen=True, slots=True)
class RankingBatch:
    """The input of the ranker: scored candidates, without the features that only models read.

    Attributes:
        bundle, offsets, rows, because, because_type, patch: as in ``CandidateBatch``.
        source_ranks: shape (total, n_sources), float32, NaN if the source did not offer the row.
        sizes: shape (n,), int32, lengths of the lists.
        scores: shape (total,), float32; NaN ranks last.
        focus: shape (total,), float32, 0 … 1, how much the user's session is about the category of
            the candidate.
    """

    bundle: str
    offsets: Offsets
    rows: Rows
    source_ranks: NDArray[np.float32]
    because: Rows
    because_type: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    scores: NDArray[np.float32]
    focus: NDArray[np.float32]
    patch: ItemPatch | None = None


@dataclass(frozen=True, slots=True)
class RankedBatch:
    """The ordered answers.

    Attributes:
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32.
        scores: shape (total,), float32.
        reasons: shape (total,), uint8, index into ``recommending.ranking.reasons.REASONS``.
        subjects: shape (total,), int32, the subject of the reason: an item row, a category code or
            ``MISSING``.
    """

    offsets: Offsets
    rows: Rows
    scores: NDArray[np.float32]
    reasons: NDArray[np.uint8]
    subjects: NDArray[np.int32]

    def without(self, unwanted: Mask) -> "RankedBatch":
        """The answers without some of their items; the mask has shape (total,)."""
        kept = ~unwanted
        lengths = np.bincount(owners(self.offsets)[kept], minlength=len(self.offsets) - 1)
        return RankedBatch(
            offsets_of(lengths),
            self.rows[kept],
            self.scores[kept],
            self.reasons[kept],
            self.subjects[kept],
        )
