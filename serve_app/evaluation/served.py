"""Fits the served system on the training interactions, and lists its recommendations.

Publishes a bundle and answers from it, as a server would.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners, pad
from serve_app.bundles.bundle import Bundle, open_bundle
from serve_app.bundles.models.loading import load_model
from serve_app.bundles.publishing import publish
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.settings import Settings
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.fitting.data.labels import Label
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.pipeline import fit
from serve_app.fitting.run import Progress
from serve_app.fitting.steps.publish_bundle import FitResult, UserColumn
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.loading.in_memory import LoadedFiles
from serve_app.measuring.lists import Lists, Wanted
from serve_app.recommending.candidates.finding import CandidateFinder
from serve_app.recommending.ranking.ordering import RankingConfig, rank_plainly
from serve_app.recommending.recommend_batch import recommend_batch
from serve_app.recommending.scoring.model_features import (
    SOURCE_RANKS,
    SOURCES,
    USER_COLUMNS,
    unknown_user,
    user_features,
)

_STEP = "answering"
_BLOCK_USERS = 256


class ServedConfig(Settings):
    """Defines the served system that an evaluation measures."""

    fit: FitConfig = Field(
        default=FitConfig(variants={"main": VariantConfig()}),
        description="The fit. The first of its variants is measured.",
    )
    ranking: RankingConfig = Field(
        default=RankingConfig(), description="Diversity of the served lists."
    )


class ServedLists(NamedTuple):
    """Lists of all test users.

    Attributes:
        plain: in the order of the scores.
        diverse: after the diversity step, as they are served.
        by_source: candidates of each source, in the order of the source.
        candidate_recall: shape (n_users,), share of each user's wanted items among the candidates.
        n_candidates: mean per user.
    """

    plain: Lists
    diverse: Lists
    by_source: Mapping[str, Lists]
    candidate_recall: NDArray[np.float64]
    n_candidates: float


class TrainingPart(Protocol):
    """The part of a split that ours is fitted on; attributes as of ``EvaluationSplit``."""

    @property
    def label(self) -> Label: ...
    @property
    def known(self) -> InteractionLog: ...
    @property
    def item_rows(self) -> Rows: ...


def fit_on_training(
    files: LoadedFiles, split: TrainingPart, config: ServedConfig, progress: Progress
) -> FitResult:
    """Fits the served system on the training interactions.

    Raises:
        NotEnoughData: there are too few training interactions to fit.
    """
    # Only the ranked items: no rival can list another one, and neither may the served system.
    items = files.items[files.items["item_row"].isin(split.item_rows)]
    settings = config.fit.model_copy(update={"label": split.label.config})
    return fit(items, files.users, split.known, settings, progress, measure=False)


@contextmanager
def published(result: FitResult, created_at: float) -> Iterator[Bundle]:
    """The bundle of a fit, in a temporary folder; ``created_at`` in epoch seconds."""
    with TemporaryDirectory() as folder:
        root = str(Path(folder) / "bundles")
        version = publish(root, result.contents, created_at=created_at).version
        yield open_bundle(root, version, cache_dir=Path(folder) / "copies")


def list_from_bundle(
    result: FitResult, split: EvaluationSplit, width: int, config: ServedConfig, progress: Progress
) -> ServedLists:
    """Publishes a fit, and lists recommendations from its bundle."""
    with published(result, split.cut_at) as bundle:
        columns = user_columns_of(result.users, len(split.known.user_ids))
        parts = [*_list_blocks(bundle, columns, split, width, config, partial(progress, _STEP))]
    # The last block is shorter: its mean counts less.
    n_users = [len(part.plain) for part in parts]
    return ServedLists(
        np.concatenate([part.plain for part in parts]),
        np.concatenate([part.diverse for part in parts]),
        {source: np.concatenate([part.by_source[source] for part in parts]) for source in SOURCES},
        np.concatenate([part.candidate_recall for part in parts]),
        float(np.average([part.n_candidates for part in parts], weights=n_users)),
    )


def _list_blocks(
    bundle: Bundle,
    user_columns: NDArray[np.float64],
    split: EvaluationSplit,
    width: int,
    config: ServedConfig,
    progress: Callable[[float], None],
) -> Iterator[ServedLists]:
    model = load_model(bundle, next(iter(config.fit.variants)))
    catalogue = bundle.fitted.catalogue
    # The files know the stock of today, not that of the test period: stock is ignored.
    finder = CandidateFinder.of(bundle.fitted, config.fit.candidates, include_out_of_stock=True)
    for start in range(0, len(split.users), _BLOCK_USERS):
        block = slice(start, min(start + _BLOCK_USERS, len(split.users)))
        numbers = split.user_numbers[split.users[block]]
        ids = tuple(split.known.user_ids[number] for number in numbers)
        batch = RequestBatch.unfiltered(ids, width, split.cut_at)
        histories = bundle.fitted.archive.read(batch.user_ids, stale=False)
        features = user_features(user_columns[numbers], batch.at)
        lists = recommend_batch(batch, histories, features, finder, model, config.ranking)
        candidates, diverse = lists.candidates, lists.ranked
        plain = rank_plainly(lists.scored, catalogue, config.ranking)
        yield ServedLists(
            _lists(plain.rows, plain.offsets, split, block, width),
            _lists(diverse.rows, diverse.offsets, split, block, width),
            _lists_by_source(candidates, split, block, width),
            _candidate_recall(candidates, split, block),
            len(candidates.rows) / len(candidates),
        )
        progress(block.stop / len(split.users))


def user_columns_of(fitted: Mapping[str, UserColumn], n_users: int) -> NDArray[np.float64]:
    """Arranges the columns of users as the store does, shape (n_users, len(USER_COLUMNS))."""
    columns = np.tile(unknown_user(), (n_users, 1))
    for i, name in enumerate(USER_COLUMNS):
        if name in fitted:
            columns[:, i] = fitted[name]
    return columns


def ranked_items(rows: NDArray[np.integer], item_rows: Rows) -> NDArray[np.int32]:
    """Translates catalogue rows into numbers of ranked items."""
    # item_rows are ordered by users, not ascending: the search needs a sorter.
    order = np.argsort(item_rows)
    positions = np.searchsorted(item_rows, rows, sorter=order)
    return order[positions].astype(np.int32)


def _lists_by_source(
    candidates: CandidateBatch, split: EvaluationSplit, block: slice, width: int
) -> dict[str, Lists]:
    of_user, lists = owners(candidates.offsets), {}
    for source, ranks in zip(SOURCES, candidates.features[:, SOURCE_RANKS].T, strict=True):
        order = np.lexsort((ranks, of_user))
        # A candidate of other sources only has the rank NaN.
        order = order[np.isfinite(ranks[order])]
        offsets = offsets_of(np.bincount(of_user[order], minlength=len(candidates)))
        lists[source] = _lists(candidates.rows[order], offsets, split, block, width)
    return lists


def _lists(rows: Rows, offsets: Offsets, split: EvaluationSplit, block: slice, width: int) -> Lists:
    """Makes lists of item numbers, without the excluded items, which no model may list."""
    items = ranked_items(rows, split.item_rows)
    kept = ~_among(items, offsets, split.excluded, block, split.training.n_items)
    lengths = np.bincount(owners(offsets)[kept], minlength=block.stop - block.start)
    return pad(items[kept], offsets_of(lengths), width, MISSING)


def _candidate_recall(
    candidates: CandidateBatch, split: EvaluationSplit, block: slice
) -> NDArray[np.float64]:
    items = ranked_items(candidates.rows, split.item_rows)
    hits = _among(items, candidates.offsets, split.wanted, block, split.training.n_items)
    n_hits = np.bincount(owners(candidates.offsets), hits, minlength=len(candidates))
    return n_hits / np.diff(split.wanted.offsets)[block]


def _among(
    items: NDArray[np.int32], offsets: Offsets, listed: Wanted, block: slice, n_items: int
) -> NDArray[np.bool_]:
    """Marks the items that are listed for their user, shape of ``items``."""
    positions, taken = gather(listed.offsets, np.arange(block.start, block.stop))
    return in_sorted(
        owners(offsets) * n_items + items, owners(taken) * n_items + listed.items[positions]
    )
