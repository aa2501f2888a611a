"""Tests that candidates follow the items in PostgreSQL, while the bundle stays as it is."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from serve_app.bundles.publishing import publish
from serve_app.database.item_feed import last_revision
from serve_app.database.schema import Connection, shop_id
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.catalogue import STANDARD_COLUMNS, UNCATEGORISED
from serve_app.domain.filters.masks import Filter
from serve_app.domain.filters.parsing import parse_filter
from serve_app.embedded.lease import StoreUrls
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig
from serve_app.stores.serving_readers import CacheTtls
from tests.contract.conftest import forget
from tests.support.small_bundles import contents_of, location_of
from tests.support.small_world import AT, small_world

VISIBLE_S = 2.0
N_ITEMS = 300
HATS = parse_filter({"category": "hats"}, STANDARD_COLUMNS)


@pytest.fixture
def served(conn: Connection, tmp_path: Path) -> RequestBatch:
    """A request for the published items that PostgreSQL holds, too."""
    catalogue = small_world().fitted.catalogue
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO item_features (item_row, item_id, title, category, price, in_stock)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (
                    row,
                    catalogue.item_ids.at(row),
                    catalogue.titles.at(row),
                    catalogue.categories.word(row) or UNCATEGORISED,
                    float(catalogue.number("price")[row]),
                    bool(catalogue.in_stock[row]),
                )
                for row in range(N_ITEMS)
            ],
        )
    contents = replace(
        contents_of(n_spare_rows=10), revision=last_revision(conn), shop_id=str(shop_id(conn))
    )
    version = publish(str(tmp_path / "bundles"), contents, created_at=AT).version
    batch = RequestBatch.unfiltered(("u000001", "nobody"), 10, AT, version)
    return replace(batch, shop_id=contents.shop_id)


@pytest.fixture
def find(
    served: RequestBatch,
    tmp_path: Path,
    store_urls: StoreUrls,
    database_url: str,
    run: Callable[..., Any],
) -> Callable[..., Any]:
    """Runs a scenario, which gets a function that finds candidates."""

    def in_loop(scenario: Callable[..., Any]) -> Any:
        async def scene() -> Any:
            location = StoreLocation(tmp_path, database_url, store_urls.redis)
            generator = CandidateGenerator(
                Stores(location, StoresConfig()),
                location_of(tmp_path / "bundles"),
                CacheTtls(),
                CandidatesConfig(),
            )

            async def candidates(
                revision: int = 0,
                wanted: Filter | None = None,
                users: tuple[str, ...] = served.user_ids,
            ) -> CandidateBatch:
                n = len(users)
                return await generator.find(
                    replace(
                        served,
                        revision=revision,
                        user_ids=users,
                        sizes=np.full(n, 10, np.int32),
                        filters=(wanted,) * n,
                        at=np.full(n, AT),
                    )
                )

            await candidates()
            return await scenario(candidates)

        return run(scene())

    return in_loop


def test_a_batch_without_changes_carries_nothing_more(find: Callable[..., Any]) -> None:
    async def scenario(candidates: Callable[..., Any]) -> CandidateBatch:
        found: CandidateBatch = await candidates()
        return found

    found = find(scenario)

    assert (found.patch, found.names, found.is_behind) == (None, None, False)


def test_a_batch_knows_every_change_up_to_the_revision_that_it_names(
    find: Callable[..., Any], conn: Connection
) -> None:
    async def scenario(candidates: Callable[..., Any]) -> Any:
        popular = (await candidates()).rows[:3].tolist()
        conn.execute(
            "UPDATE item_features SET in_stock = false WHERE item_row = ANY(%s)", [popular]
        )
        conn.execute(
            "INSERT INTO item_features (item_row, item_id, title, category, price, created_at,"
            " attributes) VALUES (300, 'hat', 'A hat', 'hats', 5, to_timestamp(%s), %s)",
            (AT - 3600, Jsonb({"brand": "Felt"})),
        )
        revision = last_revision(conn)
        return popular, await candidates(revision), await candidates(revision, HATS)

    sold_out, found, hats = find(scenario)

    assert not np.isin(found.rows, sold_out).any()
    assert 300 in found.rows
    assert hats.rows.tolist() == [300, 300]
    assert hats.names is not None
    assert list(hats.names.titles) == ["A hat"]
    assert list(hats.names.categories) == ["hats"]
    assert hats.patch.prices.tolist() == [5.0]
    assert not found.is_behind


def test_changes_show_within_two_seconds_whoever_made_them(
    find: Callable[..., Any], conn: Connection
) -> None:
    async def scenario(candidates: Callable[..., Any]) -> tuple[float, bool]:
        row = int((await candidates()).rows[0])
        changed_s = time.monotonic()
        conn.execute("UPDATE item_features SET withdrawn_at = now() WHERE item_row = %s", (row,))
        while row in (await candidates()).rows and time.monotonic() - changed_s < 2 * VISIBLE_S:
            await asyncio.sleep(0.02)
        return time.monotonic() - changed_s, row in (await candidates()).rows

    took_s, is_listed = find(scenario)

    assert not is_listed
    assert took_s < VISIBLE_S


def test_says_that_it_is_behind_a_revision_that_the_shop_does_not_have(
    find: Callable[..., Any],
) -> None:
    async def scenario(candidates: Callable[..., Any]) -> Any:
        return (await candidates(10**9)).is_behind, (await candidates()).is_behind

    assert find(scenario) == (True, False)


def test_the_archive_does_not_answer_for_forgotten_users(
    find: Callable[..., Any], conn: Connection
) -> None:
    async def scenario(candidates: Callable[..., Any]) -> Any:
        forget(conn, ["u000002"])
        # Both stores know nothing of users who were not asked for yet.
        conn.execute("ALTER TABLE interactions RENAME TO gone")
        return await candidates(last_revision(conn), users=("u000002", "other", "u000003"))

    found = find(scenario)

    assert found.stale.all()
    forgotten, unknown, known = (
        found.rows[found.offsets[i] : found.offsets[i + 1]].tolist() for i in range(3)
    )
    assert forgotten == unknown != known
