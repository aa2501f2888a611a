"""Measures orders of candidates on blocks of users, one block after the other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import Offsets, Scalar, gather, offsets_of, owners, pad
from serve_app.domain.batches import CandidateBatch
from serve_app.domain.candidates.finding import keys_of
from serve_app.domain.filters.allowed import AllowedItems
from serve_app.domain.interactions import GRADE_GAINS
from serve_app.domain.ranking.ranking import RankingConfig, rank, ranking_batch
from serve_app.domain.scoring.model_features import (
    CANDIDATE_FEATURES,
    FEATURES,
    LOG_BUYERS,
    SOURCES,
)
from serve_app.fitting.data.windows import Outcomes
from serve_app.fitting.judging.window_results import (
    POPULARITY,
    SERVED,
    WIDTH,
    Order,
    WindowResults,
    baselines,
    count_wanted,
    select_wanted,
)
from serve_app.fitting.moments.examples import Examples
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.measuring.lists import hits_of

_CANDIDATE_COLUMNS = [FEATURES.index(name) for name in CANDIDATE_FEATURES]

N_BINS = 16
_EDGES = np.logspace(-4, 0, N_BINS + 1)[1:-1]
"""Between the bins of a predicted probability: most candidates are wanted rarely."""


@dataclass(frozen=True)
class Contest:
    """
    What is measured beside the sources, ``fused`` and ``popularity``.

    Attributes:
        variants: orders by name, at least one; the first is the main one.
        calibrated: names of the variants whose scores are log-odds of being wanted.
        served: the order of the model that is served now, where it can be compared.
        ranking: how the served lists are made diverse.
    """

    variants: Mapping[str, Order]
    calibrated: Collection[str] = ()
    served: Order | None = None
    ranking: RankingConfig = field(default_factory=RankingConfig)


def measure(
    examples: Examples,
    rows: Rows,
    users: slice,
    found: Outcomes,
    world: Snapshot,
    contest: Contest,
) -> WindowResults:
    """
    The users of a block who bought something new; there may be none.

    Args:
        examples: all candidates of the users.
        rows: shape (n_examples,), their items.
        users: of the outcomes, those of the block.
        found: what all users of the window did.
        world: at the beginning of the window.
    """
    buyers = np.flatnonzero(count_wanted(found)[users])
    candidates, examples = _candidates(examples, rows, buyers), examples.lists(buyers)
    orders = {**contest.variants, **({SERVED: contest.served} if contest.served else {})}
    scores = {name: order(examples) for name, order in orders.items()}
    lists = {name: _best(each, candidates) for name, each in scores.items()}
    for name in contest.variants:
        lists[f"{name}_diverse"] = _diverse(scores[name], candidates, world, contest.ranking)
    for name, order in baselines().items():
        lists[name] = _best(order(examples), candidates)
    lists[POPULARITY] = _most_bought(found.users[users][buyers], world)
    relevant = select_wanted(found, users.start + buyers)
    calibrated = tuple(name for name in contest.variants if name in contest.calibrated)
    return WindowResults(
        names=tuple(lists),
        calibrated=calibrated,
        lists=np.stack(list(lists.values())),
        hits=np.stack(
            [hits_of(each, relevant, len(world.fitted.catalogue)) for each in lists.values()]
        ),
        n_past=_n_past(world, found.users[users][buyers]),
        relevant=relevant.items,
        offsets=relevant.offsets,
        n_found=count_wanted(examples),
        offered=_offered(scores[next(iter(contest.variants))], examples),
        calibration=_calibration([scores[name] for name in calibrated], examples),
    )


def _candidates(examples: Examples, rows: Rows, numbers: NDArray[np.int64]) -> CandidateBatch:
    """Candidates of some users as the ranker takes them; why they are candidates is not kept."""
    positions, offsets = gather(examples.offsets, numbers)
    return CandidateBatch(
        bundle="",
        offsets=offsets,
        rows=rows[positions],
        features=examples.matrix[positions][:, _CANDIDATE_COLUMNS],
        because=np.full(len(positions), MISSING, np.int32),
        because_type=np.zeros(len(positions), np.uint8),
        stale=np.zeros(len(numbers), bool),
    )


def _places(scores: NDArray[np.float32], offsets: Offsets) -> NDArray[np.int64]:
    """Positions of the best of each user, shape (n, WIDTH); ties keep their order, NaN is out."""
    listed = np.isfinite(scores)
    lists = owners(offsets)
    order = np.lexsort((-scores, ~listed, lists))
    lengths = np.bincount(lists[listed], minlength=len(offsets) - 1)
    order = order[listed[order]]
    return pad(order, offsets_of(lengths), WIDTH, MISSING)


def _best(scores: NDArray[np.float32], candidates: CandidateBatch) -> Rows:
    return _taken(candidates.rows, _places(scores, candidates.offsets), MISSING)


def _taken(values: NDArray[Scalar], places: NDArray[np.int64], fill: int) -> NDArray[Scalar]:
    """Values at places, ``fill`` where a place is ``MISSING``."""
    if not len(values):
        return np.full((*places.shape, *values.shape[1:]), fill, values.dtype)
    missing = (places == MISSING).reshape(*places.shape, *(1,) * (values.ndim - 1))
    return np.where(missing, fill, values[places]).astype(values.dtype)


def _diverse(
    scores: NDArray[np.float32], candidates: CandidateBatch, world: Snapshot, config: RankingConfig
) -> Rows:
    sizes = np.full(len(candidates), WIDTH, np.int32)
    ranked = rank(ranking_batch(candidates, sizes, scores), world.fitted.catalogue, config)
    return pad(ranked.rows, ranked.offsets, WIDTH, MISSING)


def _most_bought(users: NDArray[np.int32], world: Snapshot) -> Rows:
    """The items with the most buyers of all time that may still be recommended to the user."""
    histories = world.fitted.archive.of_rows(users, stale=False)
    done = keys_of(histories, world.fitted.tables.ending_types, len(world.fitted.catalogue))
    allowed = AllowedItems(world.fitted.catalogue, include_out_of_stock=True)
    rows = np.argsort(-world.fitted.catalogue.features[:, LOG_BUYERS], kind="stable").astype(
        np.int32
    )
    own = allowed.for_requests([None] * len(users), done).first(rows, WIDTH)
    return pad(*own, WIDTH, MISSING)


def _n_past(world: Snapshot, users: NDArray[np.int32]) -> NDArray[np.int64]:
    """How often each did before the window what counts in it."""
    histories = world.fitted.archive.of_rows(users, stale=False)
    counts = histories.events["type"] == world.label.type
    owner = owners(histories.offsets)
    return np.bincount(owner, counts, minlength=len(users)).astype(np.int64)


def _offered(scores: NDArray[np.float32], examples: Examples) -> NDArray[np.bool_]:
    columns = [FEATURES.index(f"candidate.{source}_rank") for source in SOURCES]
    known = np.isfinite(examples.matrix[:, columns])
    return _taken(known, _places(scores, examples.offsets), 0)


def _calibration(log_odds: list[NDArray[np.float32]], examples: Examples) -> NDArray[np.float64]:
    labels = (GRADE_GAINS / GRADE_GAINS.max())[examples.strengths]
    sums = np.zeros((len(log_odds), N_BINS, 3))
    for i, predicted in enumerate(map(expit, log_odds)):
        bins = np.digitize(predicted, _EDGES)
        for j, values in enumerate((predicted, labels, None)):
            sums[i, :, j] = np.bincount(bins, values, minlength=N_BINS)
    return sums
