"""The world at a moment: everything that a bundle holds but the models."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import IdIndex, Mask, NumberColumn
from serve_app.arrays.ragged import offsets_of
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import (
    MAX_EVENTS,
    HistoryArchive,
    InteractionLog,
    latest,
    make_events,
)
from serve_app.domain.settings import Settings
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.numbers import PopularityConfig, item_numbers, user_columns
from serve_app.fitting.tables.candidate_tables import TablesConfig, candidate_tables
from serve_app.fitting.tables.vectors import item_vectors


class SnapshotConfig(Settings):
    """
    Attributes:
        embedding_dim: length of the item vectors.
        max_events_per_user: of the histories that models learn from; the same number as is served
            (``PostgresConfig``).
    """

    popularity: PopularityConfig = PopularityConfig()
    tables: TablesConfig = TablesConfig()
    embedding_dim: int = Field(default=32, ge=1, le=512)
    max_events_per_user: int = Field(default=MAX_EVENTS, ge=1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Attributes:
        at: epoch seconds.
        label: what users are to be led to.
        users: shape (n_users, len(USER_COLUMNS)), float64.
    """

    at: float
    label: Label
    fitted: Fitted
    users: NDArray[np.float64]


class Numbers(NamedTuple):
    """
    What the past says of items and users by themselves.

    Attributes:
        catalogue: with popularity, ratings, vectors and model features.
        users: shape (n_users, len(USER_COLUMNS)), float64.
    """

    catalogue: Catalogue
    users: NDArray[np.float64]


def numbers_at(
    items: Catalogue,
    log: InteractionLog,
    at: float,
    listed: Mask,
    user_created_at: NDArray[np.float64],
    config: SnapshotConfig,
    label: Label = BOUGHT,
) -> Numbers:
    """
    Args:
        items: all items, as ``fitting.data.items.catalogue_of`` gives them.
        log: what was known.
        at: epoch seconds.
        listed: shape (len(items),), items that are there.
        user_created_at: shape (len(log.user_ids),), epoch seconds, NaN where unknown.
    """
    items = replace(items, listed=listed)
    numbers = item_numbers(items, log, at, config.popularity, label)
    catalogue = replace(
        items,
        columns={
            **items.columns,
            "popularity": NumberColumn(numbers.popularity),
            "avg_rating": NumberColumn(numbers.avg_rating),
            "num_ratings": NumberColumn(numbers.num_ratings),
        },
        vectors=item_vectors(log, len(items), config.embedding_dim),
        features=numbers.features,
    )
    return Numbers(catalogue, user_columns(catalogue, log, user_created_at, label))


def snapshot(
    items: Catalogue,
    log: InteractionLog,
    at: float,
    listed: Mask,
    user_created_at: NDArray[np.float64],
    config: SnapshotConfig,
    label: Label = BOUGHT,
) -> Snapshot:
    """The arguments are those of ``numbers_at``."""
    catalogue, users = numbers_at(items, log, at, listed, user_created_at, config, label)
    tables = candidate_tables(catalogue, log, at, config.tables, label)
    index = IdIndex.of(log.user_ids)
    archive = archive_of(log, index, config.max_events_per_user)
    return Snapshot(at, label, Fitted(catalogue, tables, archive), users)


def listed_at(items: Catalogue, at: float) -> Mask:
    """Items that were there at a moment; those of unknown age always were."""
    return items.listed & ~(items.number("created_at") > at)


def archive_of(log: InteractionLog, index: IdIndex, limit: int = MAX_EVENTS) -> HistoryArchive:
    """
    Histories as the store gives them.

    Args:
        index: finds the log's users.
        limit: latest events of a user; his last purchase of every other item is there too.
    """
    events = make_events(log.rows, log.types, log.at, log.values)
    offsets = offsets_of(np.bincount(log.users, minlength=len(log.user_ids)))
    kept = latest(events, offsets, limit)
    lengths = np.bincount(log.users[kept], minlength=len(log.user_ids))
    return HistoryArchive(index, offsets_of(lengths), events[kept])
