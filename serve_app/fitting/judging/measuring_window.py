"""Measures orders of candidates on a block of users."""

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
from serve_app.domain.ranking.ordering import RankingConfig, rank, ranking_batch
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
# Logarithmic: most candidates are wanted rarely, and would all fall into one bin of equal width.
_BIN_EDGES = np.logspace(-4, 0, N_BINS + 1)[1:-1]


@dataclass(frozen=True)
class Contest:
    """Orders to measure beside the sources, ``fused`` and ``popularity``.

    Attributes:
        variants: orders by name, at least one; the first is the main variant.
        calibrated: names of the variants whose scores are log-odds of being wanted.
        served: order of the model that is served now, where it can be compared.
        ranking: settings that make the served lists diverse.
    """

    variants: Mapping[str, Order]
    calibrated: Collection[str] = ()
    served: Order | None = None
    ranking: RankingConfig = field(default_factory=RankingConfig)


def measure_block(
    examples: Examples,
    rows: Rows,
    users: slice,
    outcomes: Outcomes,
    snapshot: Snapshot,
    contest: Contest,
) -> WindowResults:
    """Measures the users of a block who wanted something new; there may be none.

    Args:
        examples: all candidates of the block's users.
        rows: shape (n_examples,), items of the examples.
        users: the block's users, as a slice of the outcomes' users.
        outcomes: of all users of the window.
        snapshot: at the beginning of the window.
    """
    buyers = np.flatnonzero(count_wanted(outcomes)[users])
    candidates, examples = _candidates(examples, rows, buyers), examples.lists(buyers)
    orders = {**contest.variants, **({SERVED: contest.served} if contest.served else {})}
    scores = {name: order(examples) for name, order in orders.items()}
    lists = {name: _best(values, candidates) for name, values in scores.items()}
    for name in contest.variants:
        lists[f"{name}_diverse"] = _diversify(scores[name], candidates, snapshot, contest.ranking)
    for name, order in baselines().items():
        lists[name] = _best(order(examples), candidates)
    lists[POPULARITY] = _most_bought(outcomes.users[users][buyers], snapshot)
    relevant = select_wanted(outcomes, users.start + buyers)
    calibrated = tuple(name for name in contest.variants if name in contest.calibrated)
    return WindowResults(
        names=tuple(lists),
        calibrated=calibrated,
        lists=np.stack(list(lists.values())),
        hits=np.stack(
            [hits_of(rows, relevant, len(snapshot.fitted.catalogue)) for rows in lists.values()]
        ),
        n_past=_count_past(snapshot, outcomes.users[users][buyers]),
        relevant=relevant.items,
        offsets=relevant.offsets,
        n_found=count_wanted(examples),
        offered=_offered(scores[next(iter(contest.variants))], examples),
        calibration=_calibration([scores[name] for name in calibrated], examples),
    )


def _candidates(examples: Examples, rows: Rows, numbers: NDArray[np.int64]) -> CandidateBatch:
    """Candidates of some users, in the form of the ranker and without reasons."""
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


def _best_positions(scores: NDArray[np.float32], offsets: Offsets) -> NDArray[np.int64]:
    """Positions of each user's best candidates, shape (n, WIDTH).

    Ties keep the order of the candidates, as in serving. NaN leaves a candidate out.
    """
    listed = np.isfinite(scores)
    lists = owners(offsets)
    order = np.lexsort((-scores, ~listed, lists))
    lengths = np.bincount(lists[listed], minlength=len(offsets) - 1)
    order = order[listed[order]]
    return pad(order, offsets_of(lengths), WIDTH, MISSING)


def _best(scores: NDArray[np.float32], candidates: CandidateBatch) -> Rows:
    return _take(candidates.rows, _best_positions(scores, candidates.offsets), MISSING)


def _take(values: NDArray[Scalar], positions: NDArray[np.int64], fill: int) -> NDArray[Scalar]:
    """Values at positions, ``fill`` where a position is ``MISSING``."""
    if not len(values):
        # A block without test users has no candidates, and nothing can be indexed.
        return np.full((*positions.shape, *values.shape[1:]), fill, values.dtype)
    missing = (positions == MISSING).reshape(*positions.shape, *(1,) * (values.ndim - 1))
    # MISSING is -1 and picks the last value first; the mask then replaces it.
    return np.where(missing, fill, values[positions]).astype(values.dtype)


def _diversify(
    scores: NDArray[np.float32],
    candidates: CandidateBatch,
    snapshot: Snapshot,
    config: RankingConfig,
) -> Rows:
    sizes = np.full(len(candidates), WIDTH, np.int32)
    ranked = rank(ranking_batch(candidates, sizes, scores), snapshot.fitted.catalogue, config)
    return pad(ranked.rows, ranked.offsets, WIDTH, MISSING)


def _most_bought(users: NDArray[np.int32], snapshot: Snapshot) -> Rows:
    """The items with the most buyers of all time, without those that are excluded for the user."""
    histories = snapshot.fitted.archive.of_rows(users, stale=False)
    done = keys_of(histories, snapshot.fitted.tables.ending_types, len(snapshot.fitted.catalogue))
    allowed = AllowedItems(snapshot.fitted.catalogue, include_out_of_stock=True)
    # Stable: items with equally many buyers stand in the order of their rows.
    rows = np.argsort(-snapshot.fitted.catalogue.features[:, LOG_BUYERS], kind="stable").astype(
        np.int32
    )
    first = allowed.for_requests([None] * len(users), done).first(rows, WIDTH)
    return pad(*first, WIDTH, MISSING)


def _count_past(snapshot: Snapshot, users: NDArray[np.int32]) -> NDArray[np.int64]:
    """Interactions of each user before the window that the label counts."""
    histories = snapshot.fitted.archive.of_rows(users, stale=False)
    counts = histories.events["type"] == snapshot.label.type
    owner = owners(histories.offsets)
    return np.bincount(owner, counts, minlength=len(users)).astype(np.int64)


def _offered(scores: NDArray[np.float32], examples: Examples) -> NDArray[np.bool_]:
    """Sources that offered the items of each list, shape (n, WIDTH, len(SOURCES))."""
    columns = [FEATURES.index(f"candidate.{source}_rank") for source in SOURCES]
    known = np.isfinite(examples.matrix[:, columns])
    return _take(known, _best_positions(scores, examples.offsets), 0)


def _calibration(log_odds: list[NDArray[np.float32]], examples: Examples) -> NDArray[np.float64]:
    """See ``WindowResults.calibration``."""
    # The label of training: the quantity that a binary objective learns to predict.
    labels = (GRADE_GAINS / GRADE_GAINS.max())[examples.strengths]
    sums = np.zeros((len(log_odds), N_BINS, 3))
    for i, predicted in enumerate(map(expit, log_odds)):
        bins = np.digitize(predicted, _BIN_EDGES)
        for j, values in enumerate((predicted, labels, None)):
            sums[i, :, j] = np.bincount(bins, values, minlength=N_BINS)
    return sums
