"""Computes everything that a bundle holds but the models, as it was known at one moment."""

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
    kept_types,
    latest,
    make_events,
)
from serve_app.domain.settings import Settings
from serve_app.fitting.data.item_numbers import PopularityConfig, compute_item_numbers
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.user_numbers import compute_user_columns
from serve_app.fitting.tables.fit_tables import fit_tables
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.vectors import compute_item_vectors


class SnapshotConfig(Settings):
    """Settings of features and tables."""

    popularity: PopularityConfig = Field(
        default=PopularityConfig(), description="Popularity and trend of items."
    )
    tables: TablesConfig = Field(
        default=TablesConfig(), description="Tables that the sources look up candidates in."
    )
    embedding_dim: int = Field(
        default=32,
        ge=1,
        le=512,
        description="Length of the item vectors. Longer vectors tell more items apart and take more"
        " memory.",
    )
    max_events_per_user: int = Field(
        default=MAX_EVENTS,
        ge=1,
        description="Latest events in the histories that models learn from. A fit takes the value"
        " that serving uses.",
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was known at one moment.

    Attributes:
        at: epoch seconds.
        users: shape (n_users, len(USER_COLUMNS)), float64.
    """

    at: float
    label: Label
    fitted: Fitted
    users: NDArray[np.float64]


class Numbers(NamedTuple):
    """Numbers of items, as columns of the catalogue, and of users, without the tables.

    Attributes:
        users: shape (n_users, len(USER_COLUMNS)), float64.
    """

    catalogue: Catalogue
    users: NDArray[np.float64]


def compute_numbers(
    items: Catalogue,
    log: InteractionLog,
    at: float,
    listed: Mask,
    user_created_at: NDArray[np.float64],
    config: SnapshotConfig,
    label: Label = BOUGHT,
) -> Numbers:
    """Computes the numbers of items and users at a moment.

    Args:
        items: all items, as ``fitting.data.items.build_catalogue`` gives them.
        at: epoch seconds; the log holds the interactions that were known then.
        listed: shape (len(items),), items that existed.
        user_created_at: shape (len(log.user_ids),), epoch seconds, NaN where unknown.
    """
    items = replace(items, listed=listed)
    numbers = compute_item_numbers(items, log, at, config.popularity, label)
    catalogue = replace(
        items,
        columns={
            **items.columns,
            "popularity": NumberColumn(numbers.popularity),
            "avg_rating": NumberColumn(numbers.avg_rating),
            "num_ratings": NumberColumn(numbers.num_ratings),
        },
        vectors=compute_item_vectors(log, len(items), config.embedding_dim),
        features=numbers.features,
    )
    return Numbers(catalogue, compute_user_columns(catalogue, log, user_created_at, label))


def take_snapshot(
    items: Catalogue,
    log: InteractionLog,
    at: float,
    listed: Mask,
    user_created_at: NDArray[np.float64],
    config: SnapshotConfig,
    label: Label = BOUGHT,
) -> Snapshot:
    """Computes numbers and tables at a moment; arguments as of ``compute_numbers``."""
    catalogue, users = compute_numbers(items, log, at, listed, user_created_at, config, label)
    tables = fit_tables(catalogue, log, at, config.tables, label)
    index = IdIndex.of(log.user_ids)
    archive = build_archive(log, index, label, config.max_events_per_user)
    return Snapshot(at, label, Fitted(catalogue, tables, archive), users)


def listed_at(items: Catalogue, at: float) -> Mask:
    """Items that existed at a moment; items of unknown age always did."""
    # Not "created_at <= at": NaN compares false, and must count as old.
    return items.listed & ~(items.number("created_at") > at)


def build_archive(
    log: InteractionLog, index: IdIndex, label: Label, limit: int = MAX_EVENTS
) -> HistoryArchive:
    """Histories as the store returns them.

    Args:
        index: finds the log's users.
        limit: latest events kept of a user, besides the last one of every item that ended it.
    """
    # The rule of the store: a model must learn from histories as long as those it will meet.
    events = make_events(log.rows, log.types, log.at, log.values)
    offsets = offsets_of(np.bincount(log.users, minlength=len(log.user_ids)))
    kept = latest(events, offsets, limit, kept_types(label.ending_types))
    lengths = np.bincount(log.users[kept], minlength=len(log.user_ids))
    return HistoryArchive(index, offsets_of(lengths), events[kept])
