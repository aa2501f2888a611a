"""Tests the doctor on a real PostgreSQL, a real Redis and real bundles."""

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from serve_app.bundles.publishing import publish
from serve_app.database.schema import SCHEMA_VERSION, Connection, shop_id
from serve_app.database.serving_reads import ShopReader
from serve_app.errors import StoreUnavailable
from serve_app.operations.doctor import all_checks as doctor
from serve_app.operations.doctor.all_checks import all_checks
from serve_app.operations.doctor.checking import Outcome, run_checks
from serve_app.operations.workplace import Workplace
from serve_app.operations.yaml_file import load_yaml
from serve_app.running.environment import HttpAddress
from serve_app.running.rest import ServeClient
from serve_app.serving.config import AppConfig, bundle_location
from serve_app.stores.connections import StoreLocation
from tests.support.pooler import pooler_before
from tests.support.small_bundles import contents_of, publish_world
from tests.support.small_world import AT

SERVE = load_yaml(Path(__file__).parents[2] / "serve_config.yaml")
ELSEWHERE = {"RAY_ADDRESS": "127.0.0.1:1"}
"""With another cluster the doctor does not look at the ports of this machine."""

NO_SERVE = ServeClient("http://127.0.0.1:1")


@pytest.fixture
def workplace(database_url: str, redis_url: str, tmp_path: Path) -> Workplace:
    config, location = AppConfig(), StoreLocation(tmp_path, database_url, redis_url)
    bundles = bundle_location(config, tmp_path)
    path = tmp_path / "serve_config.yaml"
    return Workplace(path, SERVE, config, location, bundles, HttpAddress(port=1))


def checked(workplace: Workplace) -> dict[str, tuple[Outcome, str]]:
    results = run_checks(all_checks(workplace, ELSEWHERE, NO_SERVE))
    return {result.name: (result.outcome, result.detail) for result in results}


def test_passes_every_check_of_a_complete_installation(
    workplace: Workplace, tmp_path: Path
) -> None:
    with workplace.database() as conn:
        contents = replace(contents_of(), shop_id=str(shop_id(conn)))
    version = publish(str(tmp_path / "bundles"), contents, created_at=AT).version

    results = checked(workplace)

    running = results.pop("running service")
    assert running == (Outcome.SKIP, "none runs here: only what is on this machine was checked")
    assert {outcome for outcome, _ in results.values()} == {Outcome.PASS}
    assert results["PostgreSQL answers"][1].startswith("version 1")
    assert results["Redis answers"][1] == "reads and writes"
    assert results["bundle is whole"][1].startswith(f"{version}: 300 items")
    assert results["variants have models"][1] == "main, challenger"


def test_names_user_ids_that_stand_for_many_people(workplace: Workplace, conn: Connection) -> None:
    assert "none looks like a guest" in checked(workplace)["user ids"][1]

    conn.execute("INSERT INTO user_features (user_id, n_items) VALUES ('guest', 99999)")

    outcome, said = checked(workplace)["user ids"]
    assert outcome is Outcome.PASS
    assert "'guest'" in said


def test_fails_a_bundle_of_another_shop(workplace: Workplace, tmp_path: Path) -> None:
    publish(str(tmp_path / "bundles"), replace(contents_of(), shop_id="1f0e"), created_at=AT)

    outcome, said = checked(workplace)["bundle is of this shop"]

    assert outcome is Outcome.FAIL
    assert "serves a bundle of shop 1f0e" in said


def test_skips_the_schema_and_bundle_that_do_not_exist_yet(
    workplace: Workplace, bare_database_url: str, tmp_path: Path
) -> None:
    location = StoreLocation(tmp_path, bare_database_url, workplace.location.redis_url)
    bare = replace(workplace, location=location)

    results = checked(bare)

    skipped = {name for name, (outcome, _) in results.items() if outcome is Outcome.SKIP}
    assert skipped == {
        "database schema",
        "bundle is whole",
        "variants have models",
        "bundle is of this shop",
        "user ids",
        "serving reads PostgreSQL",
        "running service",
    }


def test_compares_the_connections_of_all_replicas_with_the_server(workplace: Workplace) -> None:
    assert checked(workplace)["connections"] == (Outcome.PASS, "replicas take up to 64 of 197")

    config = AppConfig.model_validate({"stores": {"postgres": {"pool_size": 40}}})
    outcome, detail = checked(replace(workplace, config=config))["connections"]
    assert outcome is Outcome.FAIL
    assert detail.startswith("replicas take up to 976 of 197: lower `max_replicas`")


def test_says_that_a_database_is_read_only(workplace: Workplace, conn: Connection) -> None:
    name = sql.Identifier(conn.info.dbname)
    conn.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))

    outcome, detail = checked(workplace)["PostgreSQL answers"]
    assert outcome is Outcome.PASS
    assert "read-only: `POST /events`, `recserve load` and `recserve fit` need" in detail


def test_says_that_a_pooler_is_in_between(workplace: Workplace, tmp_path: Path) -> None:
    url = str(workplace.location.database_url)
    with tempfile.TemporaryDirectory(prefix="dct", dir="/tmp") as folder:
        target = f"{conninfo_to_dict(url)['host']}/.s.PGSQL.5432"
        pooled = make_conninfo(url, host=folder)
        location = StoreLocation(tmp_path, pooled, workplace.location.redis_url)

        async def behind() -> dict[str, tuple[Outcome, str]]:
            async with pooler_before(target, Path(folder) / ".s.PGSQL.5432"):
                return await asyncio.to_thread(checked, replace(workplace, location=location))

        results = asyncio.run(behind())

    assert results["PostgreSQL answers"][1].endswith("behind a pooler: queries are not prepared")
    assert results["connections"] == (Outcome.SKIP, "a pooler limits them")


def test_names_the_schema_of_another_build(workplace: Workplace, conn: Connection) -> None:
    conn.execute("UPDATE recserve_schema SET version = 99")

    outcome, detail = checked(workplace)["database schema"]

    assert outcome is Outcome.FAIL
    assert f"schema version 99, this build knows versions up to {SCHEMA_VERSION}" in detail


def test_names_the_variant_that_the_bundle_has_no_model_of(
    workplace: Workplace, tmp_path: Path
) -> None:
    publish_world(tmp_path / "bundles", variants=("main",))

    assert checked(workplace)["variants have models"] == (
        Outcome.FAIL,
        "no usable model of challenger in the bundle: fit again with `recserve fit`",
    )


def test_names_the_model_of_another_build(workplace: Workplace, tmp_path: Path) -> None:
    manifest = publish_world(tmp_path / "bundles")
    path = tmp_path / "bundles" / manifest.version / "manifest.json"
    written = json.loads(path.read_text())
    written["models"]["main"]["fingerprint"] = "000000000000"
    path.write_text(json.dumps(written))

    assert checked(workplace)["variants have models"] == (
        Outcome.FAIL,
        "no usable model of main in the bundle: fit again with `recserve fit`",
    )


def test_names_a_file_that_is_not_the_one_that_was_published(
    workplace: Workplace, tmp_path: Path
) -> None:
    manifest = publish_world(tmp_path / "bundles")
    file = tmp_path / "bundles" / manifest.version / "tables" / "popular_rows.npy"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)

    outcome, detail = checked(workplace)["bundle is whole"]

    assert outcome is Outcome.FAIL
    assert "tables/popular_rows.npy is not the file that was published" in detail


def test_names_the_store_that_does_not_answer(workplace: Workplace, tmp_path: Path) -> None:
    location = StoreLocation(
        tmp_path, workplace.location.database_url, f"unix://{tmp_path}/none.sock"
    )
    half = replace(workplace, location=location)

    results = checked(half)

    assert results["PostgreSQL answers"][0] is Outcome.PASS
    assert results["Redis answers"] == (Outcome.FAIL, "redis: ConnectionError")


def test_a_fault_that_three_checks_meet_is_one_failure(
    workplace: Workplace, tmp_path: Path
) -> None:
    nowhere = f"postgresql://postgres@/x?host={tmp_path}&port=1"
    location = StoreLocation(tmp_path, nowhere, workplace.location.redis_url)

    results = checked(replace(workplace, location=location))

    assert results["PostgreSQL answers"][0] is Outcome.FAIL
    assert results["database schema"] == (Outcome.SKIP, "as for 'PostgreSQL answers'")
    assert results["serving reads PostgreSQL"] == (Outcome.SKIP, "as for 'PostgreSQL answers'")


def test_reads_the_shop_with_the_limits_of_the_service(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(shop: ShopReader, ids: object) -> None:
        raise StoreUnavailable("postgres", "timed_out")

    monkeypatch.setattr(ShopReader, "items", late)
    monkeypatch.setattr(doctor, "PAUSE_S", 0.0)

    assert checked(workplace)["serving reads PostgreSQL"] == (
        Outcome.FAIL,
        "postgres: timed_out",
    )
