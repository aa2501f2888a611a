"""Defines the messages between the stages: batches of requests as flat arrays.

A single request is a batch of one. Lists of unequal length are values and offsets. Items are row
numbers of the catalogue whose version is in the message.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, gather
from serve_app.domain.filters.masks import Filter


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """Requests that are answered together from one bundle.

    Attributes:
        bundle: version of the bundle that answers all requests.
        user_ids: one per request.
        sizes: shape (n,), int32, lengths of the lists.
        filters: one per request, or ``None``.
        at: epoch seconds at which the batch is answered.
        shop_id: of the database that the bundle was fitted on; empty where none is known.
    """

    bundle: str
    user_ids: tuple[str, ...]
    sizes: NDArray[np.int32]
    filters: tuple[Filter | None, ...]
    at: float
    shop_id: str = ""

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def unfiltered(
        cls, user_ids: tuple[str, ...], size: int, at: float, bundle: str = ""
    ) -> "RequestBatch":
        """Requests for ``size`` items each, without filters."""
        n = len(user_ids)
        return cls(bundle, user_ids, np.full(n, size, np.int32), (None,) * n, at)


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
    """

    bundle: str
    offsets: Offsets
    rows: Rows
    features: NDArray[np.float32]
    because: Rows
    because_type: NDArray[np.uint8]
    stale: Mask

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class ScoringBatch:
    """The input of a scorer: candidates of some requests, with features.

    Attributes:
        bundle: version of the catalogue and of the model.
        at: epoch seconds at which the batch is answered.
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32.
        candidate_features: shape (total, f), float32.
        user_features: shape (n, g), float32.
    """

    bundle: str
    at: float
    offsets: Offsets
    rows: Rows
    candidate_features: NDArray[np.float32]
    user_features: NDArray[np.float32]

    @classmethod
    def of(
        cls, candidates: CandidateBatch, user_features: NDArray[np.float32], at: float
    ) -> "ScoringBatch":
        """All candidates of a batch, with the features of its users; copies nothing."""
        offsets, rows = candidates.offsets, candidates.rows
        return cls(candidates.bundle, at, offsets, rows, candidates.features, user_features)

    def part(self, requests: NDArray[np.integer]) -> tuple["ScoringBatch", NDArray[np.int64]]:
        """Some of the requests, and the positions of their candidates in this batch."""
        positions, offsets = gather(self.offsets, requests)
        rows, features = self.rows[positions], self.candidate_features[positions]
        users = self.user_features[requests]
        return ScoringBatch(self.bundle, self.at, offsets, rows, features, users), positions


@dataclass(frozen=True, slots=True)
class RankingBatch:
    """The input of the ranker: scored candidates, without the features that only models read.

    Attributes:
        bundle, offsets, rows, because, because_type: as in ``CandidateBatch``.
        source_ranks: shape (total, n_sources), float32, NaN if the source did not offer the row.
        sizes: shape (n,), int32, lengths of the lists.
        scores: shape (total,), float32; NaN ranks last.
    """

    bundle: str
    offsets: Offsets
    rows: Rows
    source_ranks: NDArray[np.float32]
    because: Rows
    because_type: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    scores: NDArray[np.float32]


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
