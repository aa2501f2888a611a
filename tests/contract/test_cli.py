"""Tests the ``recserve`` command on embedded stores, from nothing to a bundle that passes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from serve_app.bundles.bundle import served_shop
from serve_app.bundles.last_fit import read_last_fit
from serve_app.bundles.publishing import publish
from serve_app.cli import data_verbs as data
from serve_app.cli import main as cli
from serve_app.embedded.lease import lease
from tests.support.fit_in_process import fit_in_process
from tests.support.small_bundles import contents_of
from tests.support.small_world import AT

PROJECT = Path(__file__).parents[2]
FIT = {
    "n_tuning_users": 20,
    "variants": {
        "main": {"n_models": 1, "n_trees": 3},
        "challenger": {"n_models": 1, "objectives": ["rank:ndcg"], "n_trees": 3},
    },
}
DEMO = ("--users", "150", "--items", "200", "--interactions", "6000")


@dataclass(frozen=True)
class Said:
    """The exit code of a command, and its text on either stream."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home folder for all; its stores run as long as the tests do."""
    folder = tmp_path_factory.mktemp("cli") / "home"
    with lease(folder):
        yield folder


Recserve = Callable[..., Said]


@pytest.fixture
def recserve(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Recserve:
    """Runs a command as its entry point does, in this process; ``None`` removes a variable."""

    def run(*words: str | Path, **environment: str) -> Said:
        with monkeypatch.context() as patched:
            for name in ("DATABASE_URL", "REDIS_URL"):
                patched.delenv(name, raising=False)
            # Ports are those of that cluster then, and not of this machine.
            patched.setenv("RAY_ADDRESS", "127.0.0.1:1")
            patched.setenv("RECSERVE_HOME", str(home))
            for name, value in environment.items():
                patched.setenv(name, value)
            patched.chdir(PROJECT)
            patched.setattr(sys, "argv", ["recserve", *map(str, words)])
            code = 0
            capsys.readouterr()
            try:
                cli.main()
            except SystemExit as stop:
                code = int(stop.code or 0)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a quick fit."""
    path = tmp_path_factory.mktemp("settings") / "fit.yaml"
    path.write_text(yaml.safe_dump(FIT))
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


def files_of(shop: Path) -> list[str | Path]:
    return [
        *("--items", shop / "items.parquet"),
        *("--users", shop / "users.parquet"),
        *("--interactions", shop / "interactions.parquet"),
    ]


def published_by(fitted: Said) -> str:
    """The lines of a fit about its bundle, after those about its steps."""
    return fitted.out[fitted.out.index("published ") :]


def version_of(fitted: Said) -> str:
    return published_by(fitted).split()[1].rstrip(":")


def publish_another(root: Path) -> str:
    """Makes another version of the same shop the served one."""
    contents = replace(contents_of(), shop_id=served_shop(str(root)))
    return publish(str(root), contents, created_at=AT).version


def assert_one_sentence(said: Said, *words: str) -> None:
    """An anticipated error: exit code 1, and one line that says what is wrong."""
    assert said.code == 1
    # Lines about the progress of the work go to the same stream.
    assert "\r" not in said.err
    lines = [line for line in said.err.splitlines() if "recserve: " in line]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def said_before() -> dict[str, Said]:
    """The words of the load and the fit that several tests start from."""
    return {}


class TestFromNothingToABundle:
    """One story: the first test that needs a load or a fit makes it for all."""

    @pytest.fixture(autouse=True)
    def _demo(self, recserve: Recserve, shop: Path) -> None:
        if not (shop / "items.parquet").exists():
            said = recserve("demo", shop, *DEMO)
            assert said.out.splitlines() == [
                str(shop / f"{name}.parquet") for name in ("items", "users", "interactions")
            ]

    @pytest.fixture
    def loaded(self, recserve: Recserve, shop: Path, said_before: dict[str, Said]) -> Said:
        if "load" not in said_before:
            said_before["load"] = recserve("load", *files_of(shop))
        return said_before["load"]

    @pytest.fixture
    def fitted(
        self, recserve: Recserve, settings: Path, loaded: Said, said_before: dict[str, Said]
    ) -> Said:
        if "fit" not in said_before:
            said_before["fit"] = recserve("fit", "--settings", settings)
        return said_before["fit"]

    def test_loading_again_changes_nothing(
        self, recserve: Recserve, shop: Path, loaded: Said
    ) -> None:
        again = recserve("load", *files_of(shop))

        assert (loaded.code, again.code) == (0, 0)
        assert again.out.splitlines() == [
            "items: 200 rows, 0 new, 0 changed, 200 unchanged, 0 repeated",
            "users: 150 rows, 0 new, 0 changed, 150 unchanged, 0 repeated",
            "interactions: 6000 rows, 0 new, 0 changed, 6000 unchanged, 0 repeated",
        ]

    def test_fitting_publishes_a_bundle_and_says_how_good_it_is(
        self, home: Path, fitted: Said
    ) -> None:
        assert fitted.code == 0
        page = published_by(fitted).splitlines()
        assert (home / "bundles" / version_of(fitted) / "manifest.json").exists()
        assert any(line.startswith("holds") and "200 items" in line for line in page)
        assert {line.split()[0] for line in page if line} >= {"main", "challenger", "popular"}

    def test_the_end_of_a_fit_is_recorded(self, home: Path, fitted: Said) -> None:
        last = read_last_fit(str(home / "bundles"))

        assert last.succeeded_at is not None
        assert last.failure == ""

    def test_fitting_again_publishes_nothing_new(
        self,
        recserve: Recserve,
        settings: Path,
        fitted: Said,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fit_in_process(monkeypatch)

        again = recserve("fit", "--settings", settings)

        assert version_of(again) == version_of(fitted)
        assert f"{version_of(again)} again: its contents have not changed" in again.out
        assert "kept back" not in again.out
        assert recserve("versions", "list").out.count(version_of(fitted)) == 1

    def test_the_doctor_finds_all_well(
        self, recserve: Recserve, fitted: Said, tmp_path: Path
    ) -> None:
        # A service that runs on this machine, at the usual addresses, is not asked.
        config = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
        config["http_options"]["port"] = 1
        path = tmp_path / "serve_config.yaml"
        path.write_text(yaml.safe_dump(config))

        said = recserve("doctor", "--config", path, "--dashboard", "http://127.0.0.1:1")

        assert said.out.splitlines()[-1] == "all is well"
        assert said.code == 0
        assert {line.split()[0] for line in said.out.splitlines()[:-1]} == {"PASS", "SKIP"}

    def test_the_doctor_finds_a_damaged_bundle(
        self, recserve: Recserve, home: Path, fitted: Said
    ) -> None:
        version = version_of(fitted)
        file = home / "bundles" / version / "models" / "main.ubj"
        whole = file.read_bytes()
        file.write_bytes(b"?" * len(whole))
        try:
            said = recserve("doctor")
        finally:
            file.write_bytes(whole)

        assert said.code == 1
        assert "models/main.ubj is not the file that was published" in said.out

    def test_versions_names_what_is_published(self, recserve: Recserve, fitted: Said) -> None:
        version = version_of(fitted)

        listed, shown = recserve("versions", "list"), recserve("versions", "show")

        assert (listed.code, shown.code) == (0, 0)
        [line] = [line for line in listed.out.splitlines() if line.startswith("*")]
        assert line.split()[1] == version
        assert shown.out.startswith(f"{version} is served\n")
        assert recserve("versions", "show", version).out == shown.out
        # The earlier name of the verb: scripts that parse its output must not notice.
        assert recserve("models", "list") == listed

    def test_a_forced_fit_replaces_another_version(
        self, recserve: Recserve, home: Path, settings: Path, fitted: Said
    ) -> None:
        other = publish_another(home / "bundles")
        current = home / "bundles" / "current"
        assert current.read_text() == other

        forced = recserve("fit", "--settings", settings, "--step", "publish", "--force")

        assert current.read_text() == version_of(forced) != other

    def test_bundles_that_cannot_be_written(
        self, recserve: Recserve, tmp_path: Path, settings: Path, fitted: Said
    ) -> None:
        (tmp_path / "file").touch()
        config = changed_config(tmp_path, bundles=str(tmp_path / "file" / "bundles"))

        said = recserve("fit", "--config", config, "--settings", settings, "--step", "publish")

        assert_one_sentence(said, str(tmp_path / "file"), "Not a directory")

    def test_an_operator_promotes_and_rolls_back(
        self, recserve: Recserve, home: Path, fitted: Said
    ) -> None:
        first = version_of(fitted)
        second = publish_another(home / "bundles")
        current = home / "bundles" / "current"
        assert current.read_text() == second

        # A shop so small leaves the gate's verdict to chance.
        report = home / "bundles" / "reports" / first / "report.json"
        report.write_text('{"verdict": {"promoted": true, "reason": "better"}}')
        assert recserve("versions", "promote", first).out == f"{first} is current\n"
        assert current.read_text() == first
        assert recserve("versions", "rollback").out == f"{second} is current again\n"
        assert current.read_text() == second

        report.write_text('{"verdict": {"promoted": false, "reason": "worse"}}')
        assert_one_sentence(
            recserve("versions", "promote", first), "kept it back (worse)", "--force"
        )
        forced = recserve("versions", "promote", first, "--force")
        assert forced.out == f"{first} is current, although its fit kept it back (worse)\n"

    def test_a_version_that_is_not_there_cannot_be_promoted(
        self, recserve: Recserve, fitted: Said
    ) -> None:
        assert_one_sentence(
            recserve("versions", "promote", "20200101-00000000"), "20200101-00000000", "there are"
        )

    def test_a_rollback_before_the_first_fit_says_that_nothing_was_served(
        self, recserve: Recserve, tmp_path: Path
    ) -> None:
        config = changed_config(tmp_path, bundles=str(tmp_path / "bundles"))

        said = recserve("versions", "rollback", "--config", config)

        assert_one_sentence(said, "was served before: publish", "`recserve fit`")
        assert "nothing is published" in recserve("versions", "list", "--config", config).out


class TestBadRows:
    def test_are_listed_beside_the_file_and_the_rest_is_loaded(
        self, recserve: Recserve, tmp_path: Path
    ) -> None:
        file = tmp_path / "items.csv"
        good = "\n".join(f"bad-rows-{i},Item,{i}" for i in range(20))
        file.write_text(f"item_id,title,price\n{good}\n,Nameless,3\nx,Dear,much\n")

        said = recserve("load", "--items", file)

        assert said.code == 0
        assert said.out.startswith("items: 22 rows, 20 new, 0 changed")
        assert "2 rejected (1 " in said.out
        rejects = (tmp_path / "items.csv.rejects.csv").read_text()
        assert [line.split(",")[0] for line in rejects.splitlines()[1:]] == ["22", "23"]

    def test_are_those_of_another_kind_than_the_attribute_has(
        self, recserve: Recserve, tmp_path: Path
    ) -> None:
        file = tmp_path / "items.csv"
        file.write_text("item_id,kind_of_size\nkinds-1,5\n")
        assert "new attributes: kind_of_size (number)" in recserve("load", "--items", file).out

        file.write_text("item_id,kind_of_size\nkinds-2,large\n")
        assert_one_sentence(
            recserve("load", "--items", file), "kind_of_size is not a number", 'line 2: "large"'
        )
        chosen = ("--attribute", "items.kind_of_size=text")
        assert recserve("load", "--items", file, *chosen).code == 0

    def test_too_many_of_them_load_nothing(self, recserve: Recserve, tmp_path: Path) -> None:
        file = tmp_path / "items.csv"
        file.write_text("item_id,price\ntoo-many-1,much\ntoo-many-2,3\n")

        assert_one_sentence(
            recserve("load", "--items", file), str(file), "1 of 2 rows are bad", "10% may be"
        )
        said = recserve("load", "--items", file, "--max-reject-share", "0.5")
        assert said.out.startswith("items: 2 rows, 1 new")


CONFIG = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())


def changed_config(folder: Path, **args: object) -> Path:
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["applications"][0]["args"].update(args)
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


VERSIONS = ("versions list", "versions show", "versions promote x", "versions rollback")


class TestErrors:
    def test_a_file_that_is_not_there(self, recserve: Recserve, tmp_path: Path) -> None:
        file = tmp_path / "none.csv"

        assert_one_sentence(
            recserve("load", "--items", file), str(file), "No such file or directory"
        )

    def test_a_column_that_is_missing(self, recserve: Recserve, tmp_path: Path) -> None:
        file = tmp_path / "interactions.csv"
        file.write_text("user_id,item,timestamp\nu,i,0\n")

        assert_one_sentence(
            recserve("load", "--interactions", file),
            "it has no column 'item_id'; its columns are: user_id, item, timestamp",
        )

    def test_a_file_that_is_neither_csv_nor_parquet(
        self, recserve: Recserve, tmp_path: Path
    ) -> None:
        file = tmp_path / "items.xlsx"
        file.write_text("")

        assert_one_sentence(recserve("load", "--items", file), "neither in .csv nor in .parquet")

    @pytest.mark.parametrize("command", [("load", "--items", "x.csv"), ("fit",)])
    @pytest.mark.parametrize(
        "url", ["postgresql://recserve:secret@127.0.0.1:1/shop", "no url: secret"]
    )
    def test_a_database_that_does_not_answer(
        self, recserve: Recserve, command: tuple[str, ...], url: str
    ) -> None:
        said = recserve(*command, DATABASE_URL=url)

        assert_one_sentence(said, "DATABASE_URL: ")
        assert "secret" not in said.err

    def test_a_redis_that_does_not_answer(self, recserve: Recserve, tmp_path: Path) -> None:
        file = tmp_path / "users.csv"
        file.write_text("user_id\nredis-is-down\n")

        said = recserve("load", "--users", file, REDIS_URL="redis://127.0.0.1:1")

        assert_one_sentence(said, "REDIS_URL: cached values do not expire")

    def test_the_doctor_says_which_store_does_not_answer(self, recserve: Recserve) -> None:
        said = recserve("doctor", DATABASE_URL="postgresql://127.0.0.1:1/shop")

        assert said.code == 1
        by_check = {line[6:].partition("  ")[0]: line[:4] for line in said.out.splitlines()}
        assert by_check["PostgreSQL answers"] == "FAIL"
        assert by_check["Redis answers"] == "PASS"
        assert "Traceback" not in said.err

    def test_a_home_that_cannot_be_made(self, recserve: Recserve, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        said = recserve("load", "--items", "x.csv", RECSERVE_HOME=str(tmp_path / "file" / "home"))

        assert_one_sentence(said, "the embedded stores", "Not a directory")

    @pytest.mark.parametrize(
        "command", ["load --items x.csv", "fit", "doctor", "status", *VERSIONS]
    )
    def test_a_configuration_that_is_not_there(self, recserve: Recserve, command: str) -> None:
        said = recserve(*command.split(), "--config", "none.yaml")

        assert_one_sentence(said, "none.yaml: no such file")

    def test_an_unknown_setting(self, recserve: Recserve, tmp_path: Path) -> None:
        config = changed_config(tmp_path, deadline={"features_s": 1})

        assert_one_sentence(recserve("doctor", "--config", config), str(config), "args.deadline")

    def test_an_address_that_is_no_cluster(self, recserve: Recserve) -> None:
        said = recserve("fit", "--address", "nowhere")

        assert said.code == 1
        assert "address of a Ray cluster: nowhere" in said.err

    def test_a_fit_every_nothing(self, recserve: Recserve) -> None:
        said = recserve("fit", "--every", "6")

        assert said.code == 1
        assert "such as 30m, 6h or 1d" in said.err

    def test_a_fit_without_a_variant_that_is_served(
        self, recserve: Recserve, tmp_path: Path, settings: Path
    ) -> None:
        config = changed_config(tmp_path, variants=["main", "third"])

        assert_one_sentence(
            recserve("fit", "--config", config, "--settings", settings),
            "third served but not described",
        )

    def test_a_demo_shop_without_users(self, recserve: Recserve, tmp_path: Path) -> None:
        said = recserve("demo", tmp_path, "--users", "0")

        assert said.code == 2
        assert "Invalid value for '--users': 0 is not in the range x>=1" in said.err

    def test_a_demo_shop_over_files_of_somebody(self, recserve: Recserve, tmp_path: Path) -> None:
        (tmp_path / "items.parquet").write_text("mine")

        said = recserve("demo", tmp_path, *DEMO)

        assert_one_sentence(said, str(tmp_path / "items.parquet"), "already there; --force")
        assert (tmp_path / "items.parquet").read_text() == "mine"
        assert recserve("demo", tmp_path, *DEMO, "--force").code == 0

    def test_a_disk_that_is_full(
        self, recserve: Recserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(data, "make_demo", full)

        assert_one_sentence(recserve("demo", tmp_path), "the disk is full", "RECSERVE_HOME")

    def test_a_status_without_stores_starts_none(self, recserve: Recserve, tmp_path: Path) -> None:
        home = tmp_path / "none"

        said = recserve("status", "--dashboard", "http://127.0.0.1:1", RECSERVE_HOME=str(home))

        assert_one_sentence(said, "http://127.0.0.1:1")
        assert not home.exists()

    def test_a_demo_shop_in_a_folder_that_cannot_be_made(
        self, recserve: Recserve, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()

        said = recserve("demo", tmp_path / "file" / "shop", *DEMO)

        assert_one_sentence(said, str(tmp_path / "file"), "Not a directory")

    def test_a_bug_keeps_its_traceback(
        self, recserve: Recserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def bug(*_: object) -> None:
            raise OSError("an unexpected error")

        monkeypatch.setattr(data, "make_demo", bug)

        with pytest.raises(OSError, match="an unexpected error"):
            recserve("demo", tmp_path)

    @pytest.mark.parametrize("command", [("status",), ("scale", "Ranker", "--min", "2")])
    def test_a_dashboard_that_does_not_answer(
        self, recserve: Recserve, command: tuple[str, ...]
    ) -> None:
        assert_one_sentence(
            recserve(*command, "--dashboard", "http://127.0.0.1:1"), "http://127.0.0.1:1"
        )


class TestUsage:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("load", "--item", "x"), "No such option"),
            (("load",), "give at least one of --items, --users, --interactions"),
            (
                ("load", "--items", "x", "--max-reject-share", "2"),
                "the range 0<=x<=1",
            ),
            (("load", "--items", "x", "--max-rating", "inf"), "inf is no number"),
            (("load", "--items", "x", "--attribute", "size=text"), "is not of the form items.size"),
            (("load", "--items", "x", "--attribute", "items.size=x"), "number, flag, list, text"),
            (("load", "--items", "x", "--event-id", "none"), "'event', 'order'"),
            (("evaluate", "--interactions", "x", "--test-share", "nan"), "nan is no number"),
            (("evaluate", "--interactions", "x", "--test-share", "1"), "0.01<=x<=0.9"),
            (("evaluate", "--interactions", "x", "--k", "1,1000000"), "the range 1<=x<=1000"),
            (("lod",), "No such command 'lod'"),
            (("scale", "Ranker"), "give --min, --max or both"),
            (("demo",), "Missing argument 'FOLDER'"),
            (("versions",), "rollback"),
            (("versions", "lst"), "No such command 'lst'"),
            (("versions", "promote"), "Missing argument 'VERSION'"),
            (("fit", "--config", "/"), "is a directory"),
        ],
    )
    def test_an_unknown_command_ends_with_2(
        self, recserve: Recserve, words: tuple[str, ...], said: str
    ) -> None:
        found = recserve(*words)

        assert found.code == 2
        assert said in found.err

    def test_help_names_every_command(self, recserve: Recserve) -> None:
        said = recserve("--help")

        assert said.code == 0
        assert {"demo", "load", "fit", "run", "doctor", "scale", "status", "versions"} <= set(
            said.out.split()
        )

    def test_an_error_reaches_the_shell_as_one_line_and_an_exit_code(self, tmp_path: Path) -> None:
        said = subprocess.run(
            [sys.executable, "-m", "serve_app.cli.main", "doctor", "--config", "none.yaml"],
            cwd=tmp_path,
            env={**os.environ, "RECSERVE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (said.returncode, said.stdout) == (1, "")
        assert said.stderr == "recserve: none.yaml: no such file\n"
