"""Reads the data of a fit and the models that are served now, from a shop or from memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import pandas as pd

from serve_app.bundles.bundle import open_current
from serve_app.bundles.manifest import Manifest
from serve_app.database.attribute_kinds import read_kinds
from serve_app.database.fit_input import (
    count_later,
    data_state,
    read_interactions,
    read_items,
    read_users,
)
from serve_app.database.item_feed import last_revision
from serve_app.database.schema import Connection, one_snapshot, shop_id
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import BundleError
from serve_app.fitting.data.windows import select_interactions


class FitData(NamedTuple):
    """A shop's data as a fit takes them.

    Attributes:
        items: as ``database.fit_input.read_items`` returns them.
        users: as ``read_users`` returns them; users that only the log knows may be missing.
        log: all interactions.
        kinds: kinds of attributes of items that are known whatever the values are.
        revision: of the shop; all changes up to it are in the data.
    """

    items: pd.DataFrame
    users: pd.DataFrame
    log: InteractionLog
    kinds: Mapping[str, str] = MappingProxyType({})
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models that are served now.

    Attributes:
        held_out: by variant, the booster that has not learnt from the window of the manifest's
            metrics, in XGBoost's binary form (UBJSON).
    """

    manifest: Manifest
    held_out: Mapping[str, bytes]


class FitInput(Protocol):
    """The two things that steps read from outside of their workspace."""

    def read(self) -> FitData: ...

    def load_served(self) -> ServedModels | None:
        """Reads the served models; ``None`` if this build can read no served bundle."""
        ...


@dataclass(frozen=True, slots=True)
class DataInMemory:
    """Data that the caller has already; nothing is served."""

    data: FitData

    def read(self) -> FitData:
        return self.data

    def load_served(self) -> ServedModels | None:
        return None


@dataclass(frozen=True, slots=True)
class FitSource:
    """A shop: its database, and the root of its bundles.

    Attributes:
        bundle_root: local folder, or URI of an object store.
        cache_dir: holds the local copies of bundles.
        now_at: epoch seconds; interactions that are dated later wait for a later fit.
    """

    conn: Connection
    bundle_root: str
    cache_dir: Path
    now_at: float = math.inf

    @property
    def shop_id(self) -> str:
        """Identity of the database."""
        return str(shop_id(self.conn))

    def read(self) -> FitData:
        with one_snapshot(self.conn):
            log = read_interactions(self.conn)
            items, users = read_items(self.conn), read_users(self.conn)
            kinds, revision = read_kinds(self.conn, "items"), last_revision(self.conn)
        # One event of a wrong clock would end the last window, and age everything else.
        log = select_interactions(log, log.at <= self.now_at)
        return FitData(items, users, log, kinds, revision)

    def state(self) -> list[str]:
        """Identifies the data that ``read`` returns."""
        kinds = sorted(read_kinds(self.conn, "items").items())
        later = count_later(self.conn, self.now_at)
        return [*data_state(self.conn), str(later), str(kinds)]

    def load_served(self) -> ServedModels | None:
        try:
            bundle = open_current(self.bundle_root, cache_dir=self.cache_dir)
        except BundleError:
            # Another build wrote the bundle, or its name is damaged. The new fit replaces it.
            return None
        if bundle is None or not bundle.manifest.n_items:
            # The bundle of an empty shop: there is nothing to compare a first fit with.
            return None
        paths = {name: bundle.held_out_path(name) for name in bundle.manifest.models}
        held_out = {name: path.read_bytes() for name, path in paths.items() if path is not None}
        return ServedModels(bundle.manifest, held_out)
