"""Answers questions about next items from a published bundle, as a server would."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import Offsets, offsets_of, owners, pad
from serve_app.bundles.bundle import Bundle
from serve_app.bundles.models.loading import load_model
from serve_app.domain.batches import RequestBatch
from serve_app.domain.interactions import RETURN, Histories, kept_types, latest
from serve_app.evaluation.served import ServedConfig, published, ranked_items, user_columns_of
from serve_app.fitting.run import Progress
from serve_app.fitting.steps.publish_bundle import FitResult
from serve_app.measuring.lists import Lists
from serve_app.next_items.next_protocol import NextSplit
from serve_app.next_items.next_questions import known_histories, not_new
from serve_app.recommending.candidates.finding import CandidateFinder
from serve_app.recommending.ranking.ordering import rank_plainly
from serve_app.recommending.recommend_batch import recommend_batch
from serve_app.recommending.scoring.model_features import user_features

_STEP = "answering"
_BLOCK_QUESTIONS = 256


class ServedNext(NamedTuple):
    """Lists of all questions: in the order of the scores, and after the diversity step."""

    plain: Lists
    diverse: Lists


def answer_questions(
    result: FitResult, split: NextSplit, width: int, config: ServedConfig, progress: Progress
) -> ServedNext:
    """Publishes a fit, and answers each question from its bundle.

    Users have the columns of the fit, as between two fits of a shop; their histories are those of
    the question.
    """
    with published(result, split.cut_at) as bundle:
        columns = user_columns_of(result.users, len(split.known.user_ids))
        tell = partial(progress, _STEP)
        parts = [*_answer_blocks(bundle, columns, split, width, config, tell)]
    return ServedNext(
        np.concatenate([part.plain for part in parts]),
        np.concatenate([part.diverse for part in parts]),
    )


def _answer_blocks(
    bundle: Bundle,
    user_columns: NDArray[np.float64],
    split: NextSplit,
    width: int,
    config: ServedConfig,
    progress: Callable[[float], None],
) -> Iterator[ServedNext]:
    model = load_model(bundle, next(iter(config.fit.variants)))
    catalogue, questions = bundle.fitted.catalogue, split.questions
    # The files know the stock of today, not that of the test period: stock is ignored.
    finder = CandidateFinder.of(bundle.fitted, config.fit.candidates, include_out_of_stock=True)
    for start in range(0, len(questions), _BLOCK_QUESTIONS):
        block = slice(start, min(start + _BLOCK_QUESTIONS, len(questions)))
        users = questions.users[block]
        ids = tuple(split.known.user_ids[number] for number in users)
        batch = RequestBatch.unfiltered(ids, width, questions.at[block])
        histories = _as_served(known_histories(split.log, questions, block), split, config)
        features = user_features(user_columns[users], batch.at)
        lists = recommend_batch(batch, histories, features, finder, model, config.ranking)
        plain = rank_plainly(lists.scored, catalogue, config.ranking)
        yield ServedNext(
            _lists(plain.rows, plain.offsets, split, block, width),
            _lists(lists.ranked.rows, lists.ranked.offsets, split, block, width),
        )
        progress(block.stop / len(questions))


def _as_served(histories: Histories, split: NextSplit, config: ServedConfig) -> Histories:
    """The histories with as many events as a store returns.

    Where only new items count, one that was taken back stays known. Returns are left out then:
    serving would list the item again.
    """
    if not split.label.repeats:
        histories = histories.where(histories.events["type"] != RETURN)
    limit = config.fit.snapshot.max_events_per_user
    types = kept_types(split.label.ending_types)
    return histories.where(latest(histories.events, histories.offsets, limit, types))


def _lists(rows: Rows, offsets: Offsets, split: NextSplit, block: slice, width: int) -> Lists:
    """Makes lists of item numbers, of new ones alone if only these are asked for."""
    items = ranked_items(rows, split.item_rows)
    if split.label.repeats:
        return pad(items, offsets, width, MISSING)
    excluded = not_new(split.log, split.questions, block)
    keys = owners(excluded.offsets) * split.n_items + excluded.items
    kept = ~in_sorted(owners(offsets) * split.n_items + items, keys)
    lengths = np.bincount(owners(offsets)[kept], minlength=len(offsets) - 1)
    return pad(items[kept], offsets_of(lengths), width, MISSING)
