"""The served system, fitted on the past: a published bundle, and the stages in this process."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners, pad
from serve_app.bundles.bundle import Bundle, open_bundle
from serve_app.bundles.models import load_model
from serve_app.bundles.publishing import publish
from serve_app.domain.batches import (
    CandidateBatch,
    RequestBatch,
)
from serve_app.domain.candidates.finding import CandidateFinder
from serve_app.domain.ranking.ranking import RankingConfig, rank_plainly
from serve_app.domain.recommending import recommend_batch
from serve_app.domain.scoring.model_features import (
    SOURCE_RANKS,
    SOURCES,
    USER_COLUMNS,
    unknown_user,
    user_features,
)
from serve_app.domain.settings import Settings
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.in_process import fit
from serve_app.fitting.run import Progress
from serve_app.fitting.steps.publish import FitResult, UserColumn
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.loading.in_memory import LoadedFiles
from serve_app.measuring.lists import Lists, Wanted

_BLOCK_USERS = 256


class OursConfig(Settings):
    """
    Attributes:
        fit: what is fitted; the first of its variants is measured.
        ranking: how the served lists are made diverse.
    """

    fit: FitConfig = Field(default=FitConfig(variants={"main": VariantConfig()}))
    ranking: RankingConfig = RankingConfig()


class Ours(NamedTuple):
    """
    Attributes:
        plain: lists in the order of the scores.
        diverse: the lists that are served.
        by_source: lists in the order of each source alone.
        recall: shape (n_users,), share of what each user wanted that was among his candidates.
        n_candidates: of a user, on average.
    """

    plain: Lists
    diverse: Lists
    by_source: Mapping[str, Lists]
    recall: NDArray[np.float64]
    n_candidates: float


def served_lists(
    shop: LoadedFiles, split: EvaluationSplit, width: int, config: OursConfig, progress: Progress
) -> Ours:
    """
    Args:
        width: recommendations for each user.

    Raises:
        NotEnoughData: the past is too little to fit.
    """
    fitted = fit_past(shop, split, config, progress)
    return answers_of(fitted, split, width, config, progress)


def fit_past(
    shop: LoadedFiles, split: EvaluationSplit, config: OursConfig, progress: Progress
) -> FitResult:
    """
    Raises:
        NotEnoughData: the past is too little to fit.
    """
    items = shop.items[shop.items["item_row"].isin(split.item_rows)]
    settings = config.fit.model_copy(update={"label": split.label.config})
    return fit(items, shop.users, split.known, settings, progress, measure=False)


def answers_of(
    fitted: FitResult, split: EvaluationSplit, width: int, config: OursConfig, progress: Progress
) -> Ours:
    """Publishes to a temporary folder, and answers from what was published."""
    with TemporaryDirectory() as folder:
        root = str(Path(folder) / "bundles")
        version = publish(root, fitted.contents, created_at=split.cut_at).version
        bundle = open_bundle(root, version, cache_dir=Path(folder) / "copies")
        columns = _user_columns(fitted.users, len(split.known.user_ids))
        parts = list(
            _answers(bundle, columns, split, width, config, partial(progress, "answering"))
        )
    return Ours(
        np.concatenate([part.plain for part in parts]),
        np.concatenate([part.diverse for part in parts]),
        {source: np.concatenate([part.by_source[source] for part in parts]) for source in SOURCES},
        np.concatenate([part.recall for part in parts]),
        float(np.average([part.n_candidates for part in parts], weights=[*map(_n_users, parts)])),
    )


def _n_users(part: Ours) -> int:
    return len(part.recall)


def _answers(
    bundle: Bundle,
    user_columns: NDArray[np.float64],
    split: EvaluationSplit,
    width: int,
    config: OursConfig,
    progress: Callable[[float], None],
) -> Iterator[Ours]:
    model = load_model(bundle, next(iter(config.fit.variants)))
    catalogue = bundle.fitted.catalogue
    # What was in stock then is not known.
    finder = CandidateFinder.of(bundle.fitted, config.fit.candidates, include_out_of_stock=True)
    for start in range(0, len(split.users), _BLOCK_USERS):
        part = slice(start, min(start + _BLOCK_USERS, len(split.users)))
        batch = _requests(split, part, width)
        histories = bundle.fitted.archive.read(batch.user_ids, stale=False)
        features = user_features(user_columns[split.user_numbers[split.users[part]]], batch.at)
        lists = recommend_batch(batch, histories, features, finder, model, config.ranking)
        candidates, diverse = lists.candidates, lists.ranked
        plain = rank_plainly(lists.scored, catalogue, config.ranking)
        yield Ours(
            _lists(plain.rows, plain.offsets, split, part, width),
            _lists(diverse.rows, diverse.offsets, split, part, width),
            _by_source(candidates, split, part, width),
            _recall(candidates, split, part),
            len(candidates.rows) / len(candidates),
        )
        progress(part.stop / len(split.users))


def _requests(split: EvaluationSplit, part: slice, width: int) -> RequestBatch:
    numbers = split.user_numbers[split.users[part]]
    ids = tuple(split.known.user_ids[number] for number in numbers)
    return RequestBatch.unfiltered(ids, width, split.cut_at)


def _user_columns(fitted: Mapping[str, UserColumn], n_users: int) -> NDArray[np.float64]:
    """What the store would keep of each user, shape (n_users, len(USER_COLUMNS))."""
    columns = np.tile(unknown_user(), (n_users, 1))
    for i, name in enumerate(USER_COLUMNS):
        if name in fitted:
            columns[:, i] = fitted[name]
    return columns


def _items_of(rows: NDArray[np.integer], split: EvaluationSplit) -> NDArray[np.int32]:
    """Numbers of the ranked items that stand in these rows."""
    order = np.argsort(split.item_rows)
    places = np.searchsorted(split.item_rows, rows, sorter=order)
    return order[places].astype(np.int32)


def _by_source(
    candidates: CandidateBatch, split: EvaluationSplit, part: slice, width: int
) -> dict[str, Lists]:
    of_user, found = owners(candidates.offsets), {}
    for source, ranks in zip(SOURCES, candidates.features[:, SOURCE_RANKS].T, strict=True):
        order = np.lexsort((ranks, of_user))
        order = order[np.isfinite(ranks[order])]
        offsets = offsets_of(np.bincount(of_user[order], minlength=len(candidates)))
        found[source] = _lists(candidates.rows[order], offsets, split, part, width)
    return found


def _lists(rows: Rows, offsets: Offsets, split: EvaluationSplit, part: slice, width: int) -> Lists:
    """What must not be recommended is left out, as it is of every model's lists."""
    items = _items_of(rows, split)
    kept = ~_among(items, offsets, split.excluded, part, split.training.n_items)
    lengths = np.bincount(owners(offsets)[kept], minlength=part.stop - part.start)
    return pad(items[kept], offsets_of(lengths), width, MISSING)


def _recall(candidates: CandidateBatch, split: EvaluationSplit, part: slice) -> NDArray[np.float64]:
    items = _items_of(candidates.rows, split)
    found = _among(items, candidates.offsets, split.wanted, part, split.training.n_items)
    n_found = np.bincount(owners(candidates.offsets), found, minlength=len(candidates))
    return n_found / np.diff(split.wanted.offsets)[part]


def _among(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    listed: Wanted,
    part: slice,
    n_items: int,
) -> NDArray[np.bool_]:
    """Which items of each user are among those that are listed for him."""
    positions, taken = gather(listed.offsets, np.arange(part.start, part.stop))
    return in_sorted(
        owners(offsets) * n_items + items, owners(taken) * n_items + listed.items[positions]
    )
