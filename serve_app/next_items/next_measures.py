"""Measures answers to questions, in groups of questions, with intervals over users."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import Mask
from serve_app.measuring.bootstrap import Interval, interval, resampled_means
from serve_app.measuring.comparing import Comparison
from serve_app.measuring.lists import Lists, Wanted, hits_of
from serve_app.measuring.metrics import hit_rate, ndcg_at, reciprocal_rank
from serve_app.next_items.next_questions import Questions

ALL, KNOWN = "all", "known 1+"
_MEASURES = {"hit_rate": hit_rate, "mrr": reciprocal_rank, "ndcg": ndcg_at}
_LEAST = (0, 1, 2, 4, 10)
"""Least number of known events of each group."""

_NAMES = ("0", "1", "2-3", "4-9", "10+")

Means = Mapping[str, NDArray[np.float64]]


class Measured(NamedTuple):
    """Figures by group of questions, model and measure; comparisons by group, ours and other."""

    n_questions: Mapping[str, int]
    models: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    comparisons: Mapping[str, Mapping[str, Mapping[str, Comparison]]]


def groups_of(questions: Questions) -> dict[str, Mask]:
    """Groups of questions by known events of the user, and of the session where this differs."""
    known, in_session = questions.n_known, questions.n_known_in_session
    groups = {ALL: np.ones(len(questions), bool), KNOWN: known > 0, **_steps("known", known)}
    # Nothing is known of a session where each is asked for at its start.
    if in_session.any() and not np.array_equal(known, in_session):
        groups |= _steps("session", in_session)
    return {name: mask for name, mask in groups.items() if mask.any()}


def _steps(name: str, numbers: NDArray[np.int64]) -> dict[str, Mask]:
    steps = np.searchsorted(_LEAST, numbers, side="right") - 1
    return {f"{name} {step}": steps == i for i, step in enumerate(_NAMES)}


def measure_answers(
    lists: Mapping[str, Lists],
    questions: Questions,
    wanted: Wanted,
    n_items: int,
    ks: Sequence[int],
    ours: Sequence[str],
    n_resamples: int,
    seed: int,
) -> Measured:
    """Measures all models in all groups; resamples the users, with all of their questions."""
    columns = {
        (model, measure): values
        for model, of_model in lists.items()
        for measure, values in _per_question(of_model, wanted, n_items, ks).items()
    }
    values = np.column_stack(list(columns.values()))
    _, users = np.unique(questions.users, return_inverse=True)
    models, compared, sizes = {}, {}, {}
    for name, group in groups_of(questions).items():
        means, resampled = _means(values[group], users[group], users.max() + 1, n_resamples, seed)
        found = dict(zip(columns, zip(means, resampled.T, strict=True), strict=True))
        sizes[name] = int(group.sum())
        models[name] = {
            model: {m: interval(*found[other, m]) for other, m in columns if other == model}
            for model in lists
        }
        compared[name] = {
            own: {other: _compare(found, own, other) for other in lists if other != own}
            for own in ours
        }
    return Measured(sizes, models, compared)


def _per_question(
    lists: Lists, wanted: Wanted, n_items: int, ks: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    hits, n_wanted = hits_of(lists, wanted, n_items), np.diff(wanted.offsets)
    return {
        f"{name}@{k}": measure(hits, n_wanted, k) for k in ks for name, measure in _MEASURES.items()
    }


def _means(
    values: NDArray[np.float64],
    users: NDArray[np.int64],
    n_users: int,
    n_resamples: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over questions, and over those of resampled users, (n_resamples, n_columns)."""
    n = len(values)
    of_user = csr_array((np.ones(n), (users, np.arange(n))), shape=(n_users, n))
    sums = np.column_stack([of_user @ values, of_user.sum(axis=1)])
    # A mean over questions is a ratio: both its parts change with the users that are drawn.
    resampled = resampled_means(sums, n_resamples, seed)
    # A small group may be missing in a resample.
    resampled = resampled[resampled[:, -1] > 0]
    return values.mean(axis=0), resampled[:, :-1] / resampled[:, -1:]


def _compare(
    found: Mapping[tuple[str, str], tuple[float, NDArray[np.float64]]], own: str, other: str
) -> Comparison:
    """Pairs the resamples of two models, as ``measuring.comparing`` does."""
    difference, ratio = {}, {}
    for model, measure in found:
        if model == own:
            (mean, of_own), (of_mean, of_other) = found[own, measure], found[other, measure]
            difference[measure] = interval(mean - of_mean, of_own - of_other)
            if of_other.min() > 0:
                ratio[measure] = interval(mean / of_mean, of_own / of_other)
    return Comparison(difference, ratio)
