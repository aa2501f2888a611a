"""The stores of a process: by URL or embedded, and the two stages that read from them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from serve_app.database.records import ItemRow
from serve_app.database.schema import Connection
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.domain.batches import MetadataBatch
from serve_app.embedded.lease import StoreUrls
from serve_app.errors import StageFailed, StoreUnavailable
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.scoring.model_features import USER_FEATURES
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig, home_of
from serve_app.stores.reads_apart import ReadResult
from serve_app.stores.serving_readers import CacheTtls
from tests.support.small_bundles import location_of, publish_world
from tests.support.small_world import AT, batch_of, purchased, small_world

PATIENT = StoresConfig.model_validate({"redis": {"timeout_s": 2}, "postgres": {"timeout_s": 2}})
CATALOGUE = small_world().fitted.catalogue
BOUGHT = 5


class TestStoreLocation:
    def test_is_read_from_the_environment(self, tmp_path: Path) -> None:
        environment = {"DATABASE_URL": "postgresql://a", "REDIS_URL": "redis://b"}

        location = StoreLocation.from_environment(environment, tmp_path)

        assert location == StoreLocation(tmp_path, "postgresql://a", "redis://b")
        assert location.urls() == (StoreUrls("postgresql://a", "redis://b"), None)
        assert not any(tmp_path.iterdir())

    @pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": "", "REDIS_URL": ""}])
    def test_an_empty_variable_is_none(self, environment: dict[str, str], tmp_path: Path) -> None:
        assert StoreLocation.from_environment(environment, tmp_path) == StoreLocation(
            tmp_path, None, None
        )

    @pytest.mark.parametrize(
        ("environment", "home"),
        [({}, "/w/.recserve"), ({"RECSERVE_HOME": "x"}, "/w/x"), ({"RECSERVE_HOME": "/y"}, "/y")],
    )
    def test_home_is_absolute(self, environment: dict[str, str], home: str) -> None:
        assert home_of(environment, Path("/w")) == Path(home)

    def test_only_the_store_without_a_url_is_embedded(self, store_urls: StoreUrls) -> None:
        home = Path(store_urls.database.partition("host=")[2].partition("&")[0].replace("%2F", "/"))
        location = StoreLocation(home.parent, None, "redis://elsewhere")

        urls, held = location.urls()

        assert held is not None
        held.close()
        assert urls == StoreUrls(store_urls.database, "redis://elsewhere")


@pytest.fixture
def location(database_url: str, redis_url: str, tmp_path: Path) -> StoreLocation:
    return StoreLocation(tmp_path, database_url, redis_url)


@pytest.fixture
def nowhere(tmp_path: Path) -> StoreLocation:
    """Two stores that do not answer."""
    return StoreLocation(
        tmp_path, f"postgresql:///x?host={tmp_path}", f"unix://{tmp_path}/redis.sock"
    )


@pytest.fixture
def ann(conn: Connection) -> str:
    """A user who bought one item, which the shop describes."""
    conn.execute(
        "INSERT INTO item_features (item_row, item_id, title, price) VALUES (%s, %s, 'Pan', 9.5)",
        (BOUGHT, CATALOGUE.item_ids.at(BOUGHT)),
    )
    conn.execute(
        "INSERT INTO interactions VALUES ('e1', 'ann', %s, 3, 1, to_timestamp(%s))",
        (BOUGHT, AT - 60),
    )
    conn.execute(
        "INSERT INTO user_features (user_id, total_purchases, last_at)"
        " VALUES ('ann', 1, to_timestamp(%s))",
        (AT - 86_400,),
    )
    return "ann"


Run = Callable[[Awaitable[Any]], Any]


class TestShopReader:
    def test_opens_one_pool_with_the_first_queries(
        self, run: Run, conn: Connection, database_url: str, ann: str
    ) -> None:
        async def scenario() -> tuple[int, int]:
            shop = ShopReader(database_url, PostgresConfig(timeout_s=2, pool_size=2))
            answers = await asyncio.gather(*(shop.user_features([ann]) for _ in range(5)))
            sessions = conn.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
            assert sessions is not None
            return sum(map(len, answers)), sessions[0]

        n_answers, n_sessions = run(scenario())
        assert n_answers == 5
        assert 1 <= n_sessions <= 2

    def test_says_that_the_url_cannot_be_read(self) -> None:
        shop = ShopReader("no url", PostgresConfig())

        with pytest.raises(StoreUnavailable, match="postgres: ProgrammingError"):
            asyncio.run(shop.items(["pan"]))

    def test_says_that_nobody_answers(self, run: Run, nowhere: StoreLocation) -> None:
        assert nowhere.database_url is not None
        shop = ShopReader(nowhere.database_url, PostgresConfig())

        with pytest.raises(StoreUnavailable, match="postgres"):
            run(shop.histories(["ann"], (3,)))


class TestFeatureFetcher:
    def fetch(
        self, run: Run, location: StoreLocation, ask: Callable[[FeatureFetcher], Awaitable[Any]]
    ) -> Any:
        async def scenario() -> Any:
            return await ask(FeatureFetcher(Stores(location, PATIENT), CacheTtls()))

        return run(scenario())

    def test_knows_whom_the_store_knows_and_has_defaults_for_the_rest(
        self, run: Run, location: StoreLocation, ann: str
    ) -> None:
        users = self.fetch(
            run, location, lambda fetcher: fetcher.users(batch_of((ann, "bob", ann)))
        )

        assert users.defaulted.tolist() == [False, False, False]
        named = dict(zip(USER_FEATURES, users.values.T, strict=True))
        np.testing.assert_allclose(named["user.log_purchases"], np.log([2, 1, 2]), rtol=1e-6)
        np.testing.assert_allclose(named["user.days_since_last"], [1, np.nan, 1])

    def test_marks_whom_no_store_answered_for(self, run: Run, nowhere: StoreLocation) -> None:
        users = self.fetch(run, nowhere, lambda fetcher: fetcher.users(batch_of(("ann", "bob"))))

        assert users.defaulted.tolist() == [True, True]
        assert users.values[:, 0].tolist() == [0, 0]

    def test_describes_items(self, run: Run, location: StoreLocation, ann: str) -> None:
        item_id = CATALOGUE.item_ids.at(BOUGHT)

        found = self.fetch(
            run, location, lambda fetcher: fetcher.items(MetadataBatch((item_id, "none")))
        )

        assert found == ReadResult({item_id: ItemRow("Pan", "unknown", 9.5, (), True, None, 0, {})})

    def test_names_the_items_that_no_store_answered_for(
        self, run: Run, nowhere: StoreLocation
    ) -> None:
        found = self.fetch(run, nowhere, lambda fetcher: fetcher.items(MetadataBatch(("pan",))))

        assert found == ReadResult({}, frozenset({"pan"}))


class TestCandidateGenerator:
    @pytest.fixture(scope="class")
    @staticmethod
    def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
        root = tmp_path_factory.mktemp("published") / "bundles"
        return root, publish_world(root).version

    def find(
        self, run: Run, location: StoreLocation, bundles: tuple[Path, str], users: tuple[str, ...]
    ) -> Any:
        root, version = bundles

        async def scenario() -> Any:
            generator = CandidateGenerator(
                Stores(location, PATIENT), location_of(root), CacheTtls(), CandidatesConfig()
            )
            batch = batch_of(users)
            return await generator.find(
                type(batch)(version, batch.user_ids, batch.sizes, batch.filters, batch.at)
            )

        return run(scenario())

    def test_starts_from_what_the_store_says_that_users_did(
        self, run: Run, location: StoreLocation, bundles: tuple[Path, str], ann: str
    ) -> None:
        found = self.find(run, location, bundles, (ann, "nobody"))

        own, other = (found.rows[found.offsets[i] : found.offsets[i + 1]] for i in (0, 1))
        assert found.stale.tolist() == [False, False]
        assert BOUGHT not in own
        assert BOUGHT in other
        assert BOUGHT in found.because[: found.offsets[1]]

    def test_the_archive_stands_in_for_the_stores(
        self, run: Run, nowhere: StoreLocation, bundles: tuple[Path, str]
    ) -> None:
        found = self.find(run, nowhere, bundles, ("u000001",))

        bought = purchased(small_world().fitted.archive.read(["u000001"], stale=True).of_user(0))
        assert found.stale.tolist() == [True]
        assert len(found.rows) >= 100
        assert not np.isin(found.rows, bought).any()

    def test_says_that_the_bundle_is_not_there(
        self, run: Run, location: StoreLocation, bundles: tuple[Path, str]
    ) -> None:
        with pytest.raises(StageFailed, match="candidates: BundleMissing"):
            self.find(run, location, (bundles[0], "20260101-00000000"), ("ann",))


PROCESS = """
import asyncio, sys
from pathlib import Path
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig
config = StoresConfig.model_validate({"redis": {"timeout_s": 2}})
stores = Stores(StoreLocation(Path(sys.argv[1]), None, None), config)
async def answers():
    try:
        await stores.cache.ping()
        return "answers"
    except Exception as error:
        return type(error).__name__
loop = asyncio.new_event_loop()
for _ in sys.stdin:
    print(loop.run_until_complete(answers()), flush=True)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has opened embedded stores and says, line by line, whether they answer."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as opened:
        yield opened
        opened.kill()


def asked(process: "subprocess.Popen[str]") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def keepers(home: Path) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if "serve_app.embedded.keeper" in (line := each.info["cmdline"] or [])
        and any(str(home) in word for word in line)
    ]


class TestStores:
    def test_come_back_when_the_embedded_ones_are_lost(
        self, process: "subprocess.Popen[str]", tmp_path: Path
    ) -> None:
        assert asked(process) == "answers"
        [keeper] = keepers(tmp_path)

        os.kill(keeper.pid, signal.SIGKILL)
        keeper.wait(10)

        # The servers take a moment to die with their keeper: only a new one's answer counts.
        deadline_s = time.monotonic() + 30
        while all(each.pid == keeper.pid for each in keepers(tmp_path)):
            assert time.monotonic() < deadline_s, "no keeper was started"
            time.sleep(0.05)
        while asked(process) != "answers":
            assert time.monotonic() < deadline_s, "the stores did not come back"
            time.sleep(0.05)

    def test_end_with_the_process(self, process: "subprocess.Popen[str]", tmp_path: Path) -> None:
        assert asked(process) == "answers"
        held = keepers(tmp_path)

        process.kill()

        assert psutil.wait_procs(held, timeout=20)[1] == []
