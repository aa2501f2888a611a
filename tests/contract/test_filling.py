"""Tests loading and fitting as commands do it, and that both invalidate cached values."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import make_conninfo

from serve_app.bundles.bundle import current_version, manifest_of, versions
from serve_app.bundles.publishing import publish
from serve_app.database.fit_input import holds_items
from serve_app.database.schema import ensure_schema
from serve_app.demo.demo_shop import DemoConfig
from serve_app.errors import AnotherShop, DatabaseFailed, NotEnoughData, SettingsInvalid
from serve_app.fitting.fit_config import STEP_SETTINGS
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.operations import first_run
from serve_app.operations.command_cache import begin_new_epoch, use_cache
from serve_app.operations.first_run import example_user, prepare_first_run, why_unservable
from serve_app.operations.fits.fit_bundle import FitRun, fit_bundle
from serve_app.operations.fits.fit_settings import fit_config
from serve_app.operations.load_shop import load_files
from serve_app.operations.workplace import Workplace, open_workplace
from serve_app.operations.yaml_file import load_yaml
from serve_app.serving.questions import ANSWER_PREFIX
from serve_app.stores.epochs import CurrentValues, read_current_values, with_stamp
from serve_app.stores.serving_readers import CACHE_PREFIXES
from tests.contract.conftest import set_read_only
from tests.support.fit_in_process import fit_in_process
from tests.support.small_bundles import (
    contents_of,
    of_another_format,
    of_other_features,
    publish_world,
)
from tests.support.small_world import AT

PROJECT = Path(__file__).parents[2]
SMALL = DemoConfig(n_users=150, n_items=200, n_interactions=6_000, n_days=180)


def settings_of(folder: Path, **changes: object) -> Path:
    variants = {
        "main": {"n_models": 1, "n_trees": 3},
        "challenger": {"n_models": 1, "objectives": ["rank:ndcg"], "n_trees": 3},
    }
    path = folder / "fit.yaml"
    path.write_text(yaml.safe_dump({"n_tuning_users": 20, "variants": variants, **changes}))
    return path


def silent(step: str, share: float) -> None:
    """Nobody watches."""


KEYS = [f"{prefix}x" for prefix in (*CACHE_PREFIXES, ANSWER_PREFIX)]


OWNERS = ["epoch:user:x"] * len(KEYS)


def cached(workplace: Workplace) -> CurrentValues:
    assert workplace.location.redis_url
    return use_cache(
        workplace.location.redis_url, lambda cache: read_current_values(cache, OWNERS, KEYS, 60)
    )


def holding(workplace: Workplace) -> list[bytes | None]:
    """The cached values that hold."""
    return cached(workplace).values


def fill_cache(workplace: Workplace) -> None:
    """One key of every kind that is computed from what was loaded."""
    assert workplace.location.redis_url
    stamps = cached(workplace).stamps
    values = {key: with_stamp(stamp or b"", b"1") for key, stamp in zip(KEYS, stamps, strict=True)}
    use_cache(workplace.location.redis_url, lambda cache: cache.set_many(values, 60))


class TestPrepareFirstRun:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(first_run, "DemoConfig", lambda: SMALL)
        fit_in_process(monkeypatch)

    def test_an_empty_store_gets_a_shop_and_a_bundle_and_the_next_time_nothing(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        said: list[str] = []
        steps: dict[str, float] = {}
        settings = settings_of(tmp_path)
        prepare_first_run(workplace, settings, said.append, steps.__setitem__, demo=True)
        version = current_version(workplace.bundles.root)

        assert said[:2] == [
            "the store is empty: making a demo shop and loading it",
            "nothing has been published: fitting the models",
        ]
        assert [line.split()[0] for line in said[2:-1]] == list(STEP_SETTINGS)
        assert said[-1] == f"published bundle {version}"
        assert {"loading items.parquet", "loading interactions.parquet", "publish"} <= {
            step for step, share in steps.items() if share == 1.0
        }

        n_said = len(said)
        prepare_first_run(workplace, settings, said.append, silent)

        assert len(said) == n_said
        assert list(versions(workplace.bundles.root)) == [version]
        assert example_user(workplace).startswith("u0")

    def test_a_bundle_of_another_build_is_fitted_over(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        root = Path(workplace.bundles.root)
        of_another_format(root, publish_world(root).version)

        said: list[str] = []
        prepare_first_run(workplace, settings_of(tmp_path), said.append, silent, demo=True)

        assert "its format is 1, this build reads 5, 6, 7, 8 and 9" in said[1]
        assert why_unservable(workplace) is None

    def test_a_bundle_without_usable_models_is_fitted_over(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        root = Path(workplace.bundles.root)
        version = publish_world(root).version
        of_other_features(root, version, "main")

        said: list[str] = []
        prepare_first_run(workplace, settings_of(tmp_path), said.append, silent, demo=True)

        assert said[1].startswith(f"bundle {version} has no model of main that this build can use")
        assert why_unservable(workplace) is None

    def test_a_foreign_bundle_that_cannot_be_opened_is_not_replaced(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        root = Path(workplace.bundles.root)
        other = replace(contents_of(), shop_id="1f0e")
        version = publish(str(root), other, created_at=AT).version
        (root / version / "tables" / "popular_rows.npy").unlink()

        with pytest.raises(AnotherShop, match="serves a bundle of shop 1f0e"):
            prepare_first_run(workplace, settings_of(tmp_path), lambda _: None, silent, demo=True)

        assert current_version(str(root)) == version
        with workplace.database() as conn:
            assert not holds_items(conn)

    @pytest.mark.parametrize("lacking", [None, "main", "challenger"])
    def test_the_gate_is_overruled_only_where_the_main_model_stays_comparable(
        self,
        workplace: Workplace,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        lacking: str | None,
    ) -> None:
        root = Path(workplace.bundles.root)
        if lacking:
            of_other_features(root, publish_world(root).version, lacking)
        asked: list[FitRun] = []
        monkeypatch.setattr(first_run, "fit_bundle", lambda *given: asked.append(given[3]))

        prepare_first_run(workplace, settings_of(tmp_path), lambda _: None, silent, demo=True)

        assert [run.force for run in asked] == [lacking == "challenger"]

    def test_an_empty_database_of_somebody_else_is_left_empty(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        said: list[str] = []

        prepare_first_run(workplace, settings_of(tmp_path), said.append, silent)

        with workplace.database() as conn:
            assert not holds_items(conn)
        assert "`recserve run --demo`" in said[0]
        version = current_version(workplace.bundles.root)
        assert version is not None
        assert manifest_of(workplace.bundles.root, version).order == "popularity"
        assert why_unservable(workplace) is None

    def test_a_shop_that_was_served_empty_stays_so(
        self, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embedded = replace(workplace, location=replace(workplace.location, database_url=None))
        database = Workplace.database
        monkeypatch.setattr(Workplace, "database", lambda _: database(workplace))

        for empty in (True, False):
            prepare_first_run(embedded, settings_of(tmp_path), lambda _: None, silent, empty=empty)

        with workplace.database() as conn:
            assert not holds_items(conn)

    def test_a_bundle_of_another_shop_is_neither_served_nor_replaced(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        other = replace(contents_of(), shop_id="1f0e")
        version = publish(workplace.bundles.root, other, created_at=AT).version
        items = tmp_path / "items.csv"
        items.write_text("item_id\nmine\n")
        load_files(workplace, InputFiles(items), LoadConfig(), silent)

        for start in (
            lambda: prepare_first_run(workplace, settings_of(tmp_path), lambda _: None, silent),
            lambda: fit_bundle(workplace, settings_of(tmp_path), silent),
        ):
            with pytest.raises(AnotherShop, match="serves a bundle of shop 1f0e"):
                start()

        assert current_version(workplace.bundles.root) == version

    def test_a_shop_that_is_there_is_left_alone(self, workplace: Workplace, tmp_path: Path) -> None:
        items = tmp_path / "items.csv"
        items.write_text("item_id\nmine\n")
        load_files(workplace, InputFiles(items), LoadConfig(), silent)

        with pytest.raises(NotEnoughData):
            prepare_first_run(workplace, settings_of(tmp_path), lambda _: None, silent)

        with workplace.database() as conn:
            assert conn.execute("SELECT item_id FROM item_features").fetchall() == [("mine",)]

    def test_anybody_may_try_before_the_first_fit(self, workplace: Workplace) -> None:
        items = workplace.location.home / "items.csv"
        items.write_text("item_id\nmine\n")
        load_files(workplace, InputFiles(items), LoadConfig(), silent)

        assert example_user(workplace) == "anybody"


class TestDatabasesThatCannotBeWritten:
    """A fit would otherwise work for minutes before it meets the refusal."""

    @pytest.fixture(params=["load", "fit"])
    def work(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Workplace], object]:
        items = tmp_path / "items.csv"
        items.write_text("item_id\nmine\n")
        if request.param == "load":
            return lambda place: load_files(place, InputFiles(items), LoadConfig(), silent)
        return lambda place: fit_bundle(place, settings_of(tmp_path), silent)

    def test_those_in_another_encoding(
        self, work: Callable[[Workplace], object], workplace: Workplace, encoded_database_url: str
    ) -> None:
        location = replace(workplace.location, database_url=encoded_database_url)

        with pytest.raises(SettingsInvalid, match="DATABASE_URL: the encoding of the database is"):
            work(replace(workplace, location=location))

    def test_those_that_are_read_only(
        self, work: Callable[[Workplace], object], workplace: Workplace
    ) -> None:
        with workplace.database() as conn:
            ensure_schema(conn)
            set_read_only(conn)

        with pytest.raises(SettingsInvalid, match="the server is read-only: name the primary"):
            work(workplace)

    def test_a_start_needs_no_right_to_write(self, workplace: Workplace, tmp_path: Path) -> None:
        with workplace.database() as conn:
            ensure_schema(conn)
            conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (0, 'pan')")
            set_read_only(conn)
        publish_world(Path(workplace.bundles.root))

        prepare_first_run(workplace, settings_of(tmp_path), lambda _: None, silent)

    def test_a_start_with_a_role_that_may_not_read_ends_in_a_sentence(
        self, workplace: Workplace, tmp_path: Path, guest: str
    ) -> None:
        with workplace.database() as conn:
            ensure_schema(conn)
        assert workplace.location.database_url
        url = make_conninfo(workplace.location.database_url, user=guest)
        place = replace(workplace, location=replace(workplace.location, database_url=url))

        with pytest.raises(DatabaseFailed, match="permission denied"):
            prepare_first_run(place, settings_of(tmp_path), lambda _: None, silent)
        with pytest.raises(DatabaseFailed, match="permission denied"):
            example_user(place)


class TestForgetting:
    def test_a_load_forgets_what_was_computed_from_before(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        fill_cache(workplace)
        users = tmp_path / "users.csv"
        users.write_text("user_id\nann\n")

        load_files(workplace, InputFiles(users=users), LoadConfig(), silent)

        assert holding(workplace) == [None] * len(KEYS)

    def test_a_fit_that_fails_forgets_nothing(self, workplace: Workplace, tmp_path: Path) -> None:
        fill_cache(workplace)

        with pytest.raises(NotEnoughData):
            fit_bundle(workplace, settings_of(tmp_path), silent)

        assert holding(workplace) == [b"1"] * len(KEYS)
        assert current_version(workplace.bundles.root) is None

    def test_a_cache_that_does_not_answer_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match="REDIS_URL: cached values do not expire"):
            begin_new_epoch(f"unix://{tmp_path}/none.sock", "")


class TestFitConfig:
    def test_finds_candidates_as_they_are_when_serving(self, tmp_path: Path) -> None:
        config = load_yaml(PROJECT / "serve_config.yaml")
        config["applications"][0]["args"]["candidates"] = {"max_candidates": 150}
        path = tmp_path / "serve_config.yaml"
        path.write_text(yaml.safe_dump(config))
        workplace = open_workplace(path, {}, tmp_path)

        found = fit_config(workplace, PROJECT / "configs" / "fit.yaml")

        assert found.candidates.max_candidates == 150
        assert set(found.variants) >= set(workplace.config.variants)

    def test_the_gate_judges_the_first_variant_that_is_served(
        self, workplace: Workplace, tmp_path: Path
    ) -> None:
        described: dict[str, object] = {name: {} for name in ("trial", "challenger", "main")}

        found = fit_config(workplace, settings_of(tmp_path, variants=described))

        assert (found.main, *found.variants) == ("main", "main", "challenger", "trial")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"candidates": {}}, "candidates: is set in args.candidates"),
            ({"label_shares": 0.1}, "label_shares: Extra inputs"),
            ({"variants": {"main": {"n_trees": 0}}}, "variants.main.n_trees: .* greater than"),
            ({"variants": {"main": {}}}, "variants: challenger served but not described"),
        ],
    )
    def test_says_what_is_wrong_with_the_settings(
        self, workplace: Workplace, tmp_path: Path, changes: dict[str, object], said: str
    ) -> None:
        with pytest.raises(SettingsInvalid, match=said):
            fit_config(workplace, settings_of(tmp_path, **changes))
