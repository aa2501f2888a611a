"""How models are compared: what they may know, for whom they recommend, and what counts as a hit.

One moment parts the interactions of everybody. Models know what came before it and nothing else;
they rank all items, and hits are what came after it.
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
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.domain.scoring.model_features import DAY_S
from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.evaluation.training_matrix import TrainingMatrix
from serve_app.fitting.data.labels import Label, LabelConfig, label_of
from serve_app.fitting.data.pairs import pairs_of
from serve_app.fitting.data.windows import before, chosen
from serve_app.measuring.lists import Wanted


def iso_time(at: float) -> str:
    """To the second, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


class ProtocolConfig(Settings):
    """
    Attributes:
        test_share: of the interactions, the latest are the test.
        days_earlier: the test window is moved back by as much; what came after it is not known.
        min_buyers: only items that as many users had to do with in the past, in whatever way, are
            ranked.
        label: what is a hit.
        max_users: that lists are made for, chosen at random.
        seed: of that choice.
    """

    test_share: float = Field(default=0.2, gt=0, lt=1)
    days_earlier: float = Field(default=0.0, ge=0)
    min_buyers: int = Field(default=5, ge=1)
    label: LabelConfig = LabelConfig()
    max_users: int = Field(default=10_000, ge=1)
    seed: int = Field(default=7, ge=0)


@dataclass(frozen=True, slots=True)
class EvaluationSplit:
    """
    Attributes:
        cut_at: epoch seconds; the past ends before it.
        end_at: epoch seconds; the test ends with it.
        label: what counts.
        known: the interactions of the past with the ranked items; numbered as in the whole log.
        item_rows: shape (past.n_items,), int32, where the ranked items stand in the catalogue.
        user_numbers: shape (past.n_users,), int32, where the users stand in the log.
        past: the same interactions as the models take them.
        users: shape (n,), int32, ascending numbers in ``past``: those that lists are made for.
        wanted: what they bought afterwards.
        excluded: what must not be recommended to them.
        n_eligible: test users before ``max_users`` were chosen.
    """

    cut_at: float
    end_at: float
    label: Label
    known: InteractionLog
    item_rows: Rows
    user_numbers: NDArray[np.int32]
    past: TrainingMatrix
    users: NDArray[np.int32]
    wanted: Wanted
    excluded: Wanted
    n_eligible: int


def split_at_share(log: InteractionLog, config: ProtocolConfig) -> EvaluationSplit:
    """
    Raises:
        NotEnoughData: nothing is left in the past or for the test.
    """
    if not len(log):
        raise NotEnoughData("there are no interactions")
    label = label_of(log, config.label)
    shift_s = config.days_earlier * DAY_S
    cut_at = float(np.quantile(log.at, 1 - config.test_share)) - shift_s
    end_at = float(log.at.max()) - shift_s
    past = before(log, cut_at)
    if not len(past):
        raise NotEnoughData(f"no interaction lies before the test, which begins {iso_time(cut_at)}")
    rows = _ranked_rows(past, config.min_buyers)
    if not len(rows):
        raise NotEnoughData(
            f"no item has interactions of {config.min_buyers} users before the test:"
            " lower --min-buyers"
        )
    numbering, known = _numbering(past, rows, log)
    wanted, excluded = _wanted_and_excluded(log, numbering, label, cut_at, end_at)
    eligible = np.unique(wanted // numbering.n_items).astype(np.int32)
    users = _sampled(eligible, config)
    return EvaluationSplit(
        cut_at=cut_at,
        end_at=end_at,
        label=label,
        known=known,
        item_rows=rows,
        user_numbers=np.flatnonzero(numbering.user_of_number >= 0).astype(np.int32),
        past=_past_of(known, numbering, cut_at),
        users=users,
        wanted=_of_users(wanted, users, numbering),
        excluded=_of_users(excluded, users, numbering),
        n_eligible=len(eligible),
    )


class _Numbering(NamedTuple):
    """
    Attributes:
        user_of_number: number in the matrix of each user of the log, ``MISSING`` without one.
        item_of_row: the same of each row.
    """

    user_of_number: NDArray[np.int32]
    item_of_row: NDArray[np.int32]
    n_users: int
    n_items: int

    def keys(self, log: InteractionLog) -> NDArray[np.int64]:
        """Distinct pairs of a known user and a ranked item, as one number each, ascending."""
        users, items = self.user_of_number[log.users], self.item_of_row[log.rows]
        both = (users != MISSING) & (items != MISSING)
        return np.unique(users[both].astype(np.int64) * self.n_items + items[both])


def _numbering(
    past: InteractionLog, rows: Rows, log: InteractionLog
) -> tuple[_Numbering, InteractionLog]:
    """Numbers for users and items of the past, and the interactions that they are in."""
    item_of_row = np.full(int(log.rows.max()) + 1, MISSING, np.int32)
    item_of_row[rows] = np.arange(len(rows))
    known = chosen(past, item_of_row[past.rows] != MISSING)
    numbers = np.unique(known.users)
    user_of_number = np.full(len(log.user_ids), MISSING, np.int32)
    user_of_number[numbers] = np.arange(len(numbers))
    return _Numbering(user_of_number, item_of_row, len(numbers), len(rows)), known


def _wanted_and_excluded(
    log: InteractionLog,
    numbering: _Numbering,
    label: Label,
    cut_at: float,
    end_at: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that are hits, and pairs that must not be recommended; ascending keys."""
    within = (log.at >= cut_at) & (log.at <= end_at)
    wanted = numbering.keys(chosen(log, label.counts(log) & within))
    excluded = numbering.keys(chosen(log, label.ending_types[log.types] & (log.at < cut_at)))
    wanted = np.setdiff1d(wanted, excluded, assume_unique=True)
    if not len(wanted):
        raise NotEnoughData(_why_nothing(chosen(log, within), numbering, label))
    return wanted, excluded


def _why_nothing(test: InteractionLog, numbering: _Numbering, label: Label) -> str:
    counted = chosen(test, label.counts(test))
    users = np.unique(counted.users)
    n_known = int((numbering.user_of_number[users] != MISSING).sum())
    return (
        "no user with history wanted anything new in the test: of its"
        f" {len(test)} interactions {len(counted)} are a {label.hit}, by"
        f" {len(users)} users, {n_known} of whom have a history with the ranked"
        " items"
    )


def _ranked_rows(past: InteractionLog, min_buyers: int) -> Rows:
    """Rows with enough users, most users first: models break ties by number."""
    n_rows = int(past.rows.max(initial=-1)) + 1
    pairs = np.unique(past.users.astype(np.int64) * n_rows + past.rows)
    n_buyers = np.bincount(pairs % max(n_rows, 1), minlength=n_rows)
    order = np.lexsort((np.arange(n_rows), -n_buyers))
    return order[n_buyers[order] >= min_buyers].astype(np.int32)


def _past_of(known: InteractionLog, numbering: _Numbering, cut_at: float) -> TrainingMatrix:
    pairs = pairs_of(known, TYPE_WEIGHTS)
    places = (numbering.user_of_number[pairs.users], numbering.item_of_row[pairs.rows])
    shape = (numbering.n_users, numbering.n_items)
    age_days = ((cut_at - pairs.at) / DAY_S).astype(np.float32)
    return TrainingMatrix(
        matrix=csr_array((pairs.weights, places), shape=shape),
        ages=csr_array((age_days, places), shape=shape),
    )


def _sampled(users: NDArray[np.int32], config: ProtocolConfig) -> NDArray[np.int32]:
    if len(users) <= config.max_users:
        return users
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.choice(users, config.max_users, replace=False))


def _of_users(keys: NDArray[np.int64], users: NDArray[np.int32], numbering: _Numbering) -> Wanted:
    """The items of some users, from ascending keys of pairs."""
    offsets = offsets_of(np.bincount(keys // numbering.n_items, minlength=numbering.n_users))
    positions, taken = gather(offsets, users)
    return Wanted(taken, (keys[positions] % numbering.n_items).astype(np.int32))
