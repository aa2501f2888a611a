"""Measures orders of candidates on a block of users."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import Offsets, Scalar, gather, offsets_of, owners, pad
from serve_app.domain.batches import CandidateBatch
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.interactions import GRADE_GAINS, Histories, InteractionLog
from serve_app.fitting.data.moments import histories_at
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.judging import window_results
from serve_app.fitting.judging.window_results import POPULARITY, SERVED, WIDTH, Order, WindowResults
from serve_app.fitting.moments.examples import Examples, are_newcomers
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.measuring.lists import hits_of
from serve_app.recommending.candidates.finding import keys_with_types
from serve_app.recommending.ranking.ordering import RankingConfig, rank, ranking_batch
from serve_app.recommending.scoring import model_features
from serve_app.recommending.scoring.model_features import FEATURES

_CANDIDATE_COLUMNS = [FEATURES.index(name) for name in model_features.CANDIDATE_FEATURES]

N_BINS = 16
# Logarithmic: most candidates are wanted rarely, and would all fall into one bin of equal width.
_BIN_EDGES = np.logspace(-4, 0, N_BINS + 1)[1:-1]


@dataclass(frozen=True)
class Contest:
    """Orders to measure beside the sources, ``fused`` and ``popularity``.

    Attributes:
        variants: orders by name, at least one; the first is the main variant.
        calibrated: names of the variants whose scores of users with a history are log-odds of being
            wanted.
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
    log: InteractionLog,
    contest: Contest,
) -> WindowResults:
    """Measures the users of a block who wanted something new; there may be none.

    Args:
        examples: all candidates of the block's users.
        rows: shape (n_examples,), items of the examples.
        users: the block's users, as a slice of the outcomes.
        outcomes: of one moment of each user of the window.
        snapshot: at the beginning of the window.
        log: with everything that users did before their moments.
    """
    buyers = np.flatnonzero(window_results.count_wanted(outcomes)[users])
    moments, n_rows = outcomes.moments.take(users.start + buyers), len(snapshot.fitted.catalogue)
    histories = histories_at(log, moments, snapshot.label.ending_types).standing(n_rows)
    candidates, examples = _take_candidates(examples, rows, buyers), examples.of_users(buyers)
    orders = {**contest.variants, **({SERVED: contest.served} if contest.served else {})}
    scores = {name: order(examples) for name, order in orders.items()}
    lists = {name: _list_best(values, candidates) for name, values in scores.items()}
    for name in contest.variants:
        lists[f"{name}_diverse"] = _diversify(scores[name], candidates, snapshot, contest.ranking)
    for name, order in window_results.baselines().items():
        lists[name] = _list_best(order(examples), candidates)
    lists[POPULARITY] = _list_most_bought(histories, snapshot)
    relevant = window_results.select_wanted(outcomes, users.start + buyers)
    calibrated = tuple(name for name in contest.variants if name in contest.calibrated)
    return WindowResults(
        names=tuple(lists),
        calibrated=calibrated,
        lists=np.stack(list(lists.values())),
        hits=np.stack([hits_of(listed, relevant, n_rows) for listed in lists.values()]),
        n_past=_count_past(histories, snapshot),
        relevant=relevant.items,
        offsets=relevant.offsets,
        n_found=window_results.count_wanted(examples),
        offered=_find_offers(scores[next(iter(contest.variants))], examples),
        calibration=_sum_bins([scores[name] for name in calibrated], examples),
    )


def _take_candidates(examples: Examples, rows: Rows, numbers: NDArray[np.int64]) -> CandidateBatch:
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


def _list_best(scores: NDArray[np.float32], candidates: CandidateBatch) -> Rows:
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


def _list_most_bought(histories: Histories, snapshot: Snapshot) -> Rows:
    """Lists the items with the most buyers of all time that are not excluded for the user."""
    catalogue = snapshot.fitted.catalogue
    done = keys_with_types(histories, snapshot.fitted.tables.ending_types, len(catalogue))
    allowed = AllowedItems(catalogue, include_out_of_stock=True)
    # Stable: items with equally many buyers stand in the order of their rows.
    rows = np.argsort(-catalogue.features[:, model_features.LOG_BUYERS], kind="stable")
    requests = allowed.for_requests([None] * len(histories), done)
    first = requests.first(rows.astype(np.int32), WIDTH)
    return pad(*first, WIDTH, MISSING)


def _count_past(histories: Histories, snapshot: Snapshot) -> NDArray[np.int64]:
    counts = histories.events["type"] == snapshot.label.type
    owner = owners(histories.offsets)
    return np.bincount(owner, counts, minlength=len(histories)).astype(np.int64)


def _find_offers(scores: NDArray[np.float32], examples: Examples) -> NDArray[np.bool_]:
    """Sources that offered the items of each list, shape (n, WIDTH, len(SOURCES))."""
    columns = [FEATURES.index(f"candidate.{source}_rank") for source in model_features.SOURCES]
    known = np.isfinite(examples.matrix[:, columns])
    return _take(known, _best_positions(scores, examples.offsets), 0)


def _sum_bins(log_odds: list[NDArray[np.float32]], examples: Examples) -> NDArray[np.float64]:
    """See ``WindowResults.calibration``."""
    # Popularity may lead the scores of newcomers: those are no log-odds.
    has_history = ~are_newcomers(examples)[owners(examples.offsets)]
    # The label of training: the quantity that a binary objective learns to predict.
    labels = examples.gains[has_history] / GRADE_GAINS.max()
    sums = np.zeros((len(log_odds), N_BINS, 3))
    for i, scores in enumerate(log_odds):
        predicted = expit(scores[has_history])
        bins = np.digitize(predicted, _BIN_EDGES)
        for j, values in enumerate((predicted, labels, None)):
            sums[i, :, j] = np.bincount(bins, values, minlength=N_BINS)
    return sums
