"""Splits a shop's interactions at one moment: what models may know, and what counts as a hit.

Models know the interactions before the moment and nothing else. They rank all items. Hits are
interactions from that moment on.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import gather, offsets_of
from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.evaluation.training_matrix import TrainingMatrix
from serve_app.fitting.data.labels import Label, LabelConfig, choose_label
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.data.windows import select_before, select_interactions, select_standing
from serve_app.measuring.lists import Wanted


def iso_time(at: float) -> str:
    """Formats epoch seconds in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


class ProtocolConfig(Settings):
    """Settings of the test period, the ranked items, the hits and the test users."""

    test_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of the latest interactions used as the test period.",
    )
    days_earlier: float = Field(
        default=0.0,
        ge=0,
        description="Days by which the test period moves back. Later interactions are ignored.",
    )
    min_buyers: int = Field(
        default=5,
        ge=1,
        description="Items that fewer users interacted with before the test period are not ranked.",
    )
    label: LabelConfig = Field(default=LabelConfig(), description="Defines a hit.")
    max_users: int = Field(
        default=10_000, ge=1, description="Most test users. More are sampled at random."
    )
    seed: int = Field(default=7, ge=0, description="Seed of the sample of test users.")


@dataclass(frozen=True, slots=True)
class EvaluationSplit:
    """A shop's interactions, split at one moment.

    Attributes:
        cut_at: epoch seconds; training interactions lie before it.
        end_at: epoch seconds; last moment of the test period.
        known: training interactions with the ranked items; users and rows as in the whole log.
        item_rows: shape (training.n_items,), int32, catalogue rows of the ranked items.
        user_numbers: shape (training.n_users,), int32, numbers of the users in the log.
        training: the matrix of ``known``.
        users: shape (n,), int32, ascending numbers in ``training`` of the test users.
        wanted: the hits of each test user.
        excluded: items that must not be recommended to each test user.
        n_eligible: test users before ``max_users`` were sampled.
    """

    cut_at: float
    end_at: float
    label: Label
    known: InteractionLog
    item_rows: Rows
    user_numbers: NDArray[np.int32]
    training: TrainingMatrix
    users: NDArray[np.int32]
    wanted: Wanted
    excluded: Wanted
    n_eligible: int


def split_at_share(log: InteractionLog, config: ProtocolConfig) -> EvaluationSplit:
    """Splits interactions where the latest ``test_share`` of them begins.

    Raises:
        NotEnoughData: nothing is left to train on or to test.
    """
    if not len(log):
        raise NotEnoughData("there are no interactions")
    label = choose_label(log, config.label)
    shift_s = config.days_earlier * DAY_S
    cut_at = float(np.quantile(log.at, 1 - config.test_share)) - shift_s
    end_at = float(log.at.max()) - shift_s
    earlier = select_before(log, cut_at)
    if not len(earlier):
        raise NotEnoughData(f"no interaction lies before the test, which begins {iso_time(cut_at)}")
    rows = ranked_rows(earlier, config.min_buyers)
    if not len(rows):
        raise NotEnoughData(
            f"no item has interactions with at least {config.min_buyers} users before the test:"
            " lower --min-buyers"
        )
    numbering, known = _number(earlier, rows, log)
    wanted, excluded = _wanted_and_excluded(log, earlier, numbering, label, cut_at, end_at)
    eligible = np.unique(wanted // numbering.n_items).astype(np.int32)
    users = _sample(eligible, config)
    return EvaluationSplit(
        cut_at=cut_at,
        end_at=end_at,
        label=label,
        known=known,
        item_rows=rows,
        user_numbers=np.flatnonzero(numbering.user_of_number >= 0).astype(np.int32),
        training=_training_matrix(known, numbering, cut_at),
        users=users,
        wanted=_of_users(wanted, users, numbering),
        excluded=_of_users(excluded, users, numbering),
        n_eligible=len(eligible),
    )


class _Numbering(NamedTuple):
    """Numbers of users and items in the training matrix.

    Attributes:
        user_of_number: shape (users of the log,), ``MISSING`` for a user without one.
        item_of_row: shape (rows of the log,), ``MISSING`` for an item without one.
    """

    user_of_number: NDArray[np.int32]
    item_of_row: NDArray[np.int32]
    n_users: int
    n_items: int

    def keys(self, log: InteractionLog) -> NDArray[np.int64]:
        """Numbers the distinct pairs of a known user and a ranked item, ascending."""
        users, items = self.user_of_number[log.users], self.item_of_row[log.rows]
        both = (users != MISSING) & (items != MISSING)
        return np.unique(users[both].astype(np.int64) * self.n_items + items[both])


def _number(
    earlier: InteractionLog, rows: Rows, log: InteractionLog
) -> tuple[_Numbering, InteractionLog]:
    """Numbers the ranked items and their users; returns the interactions between them as well."""
    item_of_row = np.full(int(log.rows.max()) + 1, MISSING, np.int32)
    item_of_row[rows] = np.arange(len(rows))
    known = select_interactions(earlier, item_of_row[earlier.rows] != MISSING)
    numbers = np.unique(known.users)
    user_of_number = np.full(len(log.user_ids), MISSING, np.int32)
    user_of_number[numbers] = np.arange(len(numbers))
    return _Numbering(user_of_number, item_of_row, len(numbers), len(rows)), known


def _wanted_and_excluded(
    log: InteractionLog,
    earlier: InteractionLog,
    numbering: _Numbering,
    label: Label,
    cut_at: float,
    end_at: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending keys of hits, and of pairs that must not be recommended.

    Args:
        earlier: what was known before ``cut_at``.
    """
    log = select_standing(select_interactions(log, log.at <= end_at))
    within = log.at >= cut_at
    wanted = numbering.keys(select_interactions(log, label.counts(log) & within))
    excluded = numbering.keys(select_interactions(earlier, label.ending_types[earlier.types]))
    wanted = np.setdiff1d(wanted, excluded, assume_unique=True)
    if not len(wanted):
        raise NotEnoughData(_why_no_hits(select_interactions(log, within), numbering, label))
    return wanted, excluded


def _why_no_hits(test: InteractionLog, numbering: _Numbering, label: Label) -> str:
    hits = select_interactions(test, label.counts(test))
    users = np.unique(hits.users)
    n_known = int((numbering.user_of_number[users] != MISSING).sum())
    return (
        f"no user with history has a hit in the test period: {len(hits)} of its {len(test)}"
        f" interactions are a {label.hit}, by {len(users)} users; {n_known} of them have a history"
        " with the ranked items. For visitors who come once, use `recserve evaluate --next`"
    )


def ranked_rows(earlier: InteractionLog, min_buyers: int) -> Rows:
    """Rows of items with enough users, most users first."""
    n_rows = int(earlier.rows.max(initial=-1)) + 1
    pairs = np.unique(earlier.users.astype(np.int64) * n_rows + earlier.rows)
    n_buyers = np.bincount(pairs % max(n_rows, 1), minlength=n_rows)
    # Models break ties by number: this order gives ties to the item with more users.
    order = np.lexsort((np.arange(n_rows), -n_buyers))
    return order[n_buyers[order] >= min_buyers].astype(np.int32)


def _training_matrix(known: InteractionLog, numbering: _Numbering, cut_at: float) -> TrainingMatrix:
    pairs = find_pairs(known, TYPE_WEIGHTS)
    users_and_items = (numbering.user_of_number[pairs.users], numbering.item_of_row[pairs.rows])
    shape = (numbering.n_users, numbering.n_items)
    age_days = ((cut_at - pairs.at) / DAY_S).astype(np.float32)
    # Both are built from one list of pairs: their values have one order, which decayed() needs.
    return TrainingMatrix(
        matrix=csr_array((pairs.weights, users_and_items), shape=shape),
        ages=csr_array((age_days, users_and_items), shape=shape),
    )


def _sample(users: NDArray[np.int32], config: ProtocolConfig) -> NDArray[np.int32]:
    if len(users) <= config.max_users:
        return users
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.choice(users, config.max_users, replace=False))


def _of_users(keys: NDArray[np.int64], users: NDArray[np.int32], numbering: _Numbering) -> Wanted:
    """Takes the items of some users from ascending keys."""
    offsets = offsets_of(np.bincount(keys // numbering.n_items, minlength=numbering.n_users))
    positions, taken = gather(offsets, users)
    return Wanted(taken, (keys[positions] % numbering.n_items).astype(np.int32))
