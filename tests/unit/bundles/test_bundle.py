import gc
import json
import os
import select
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import pytest

from serve_app.arrays.columns import NumberColumn, TagsColumn, TextColumn
from serve_app.bundles import local as bundle_local
from serve_app.bundles import remote as bundle_remote
from serve_app.bundles.bundle import (
    current_version,
    manifest_of,
    open_bundle,
    verify_bundle,
    versions,
)
from serve_app.bundles.publishing import BundleContents, FittedModel, publish
from serve_app.errors import BundleDamaged, BundleMissing, SettingsInvalid, StoreUnavailable
from serve_app.recommending.scoring.model_features import FEATURES, SOURCES, fingerprint
from tests.support.small_world import small_world

WORLD = small_world()
UNTIL_AT = 1_700_000_000.0  # 14 November 2023


def contents(booster=b"trees", **changes):
    model = FittedModel(
        FEATURES, "binary:logistic", booster, n_trees=3, metrics={"ndcg_at_10": 0.2}
    )
    whole = BundleContents(
        fitted=WORLD.fitted,
        models={"main": model},
        until_at=UNTIL_AT,
        horizon_s=3_600.0,
        metrics={"popular": {"ndcg_at_10": 0.1}},
        measured_from_at=UNTIL_AT - 3_600.0,
        n_interactions=len(WORLD.fitted.archive.events),
    )
    return replace(whole, **changes)


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "bundles")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def publish_one(root, booster=b"trees", n_kept=5):
    return publish(root, contents(booster), created_at=1.0, n_kept=n_kept).version


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def no_lock_is_free(folder):
    """Stands for a lock that another process holds."""
    raise BlockingIOError(folder)


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def is_open_to_others(path):
    return bool(path.stat().st_mode & 0o077)


def assert_equal(found, expected):
    """The same arrays, however deep."""
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_equal(found[name], expected[name])
    else:
        assert type(found) is type(expected)
        for part in fields(expected):
            if part.name != "version":
                assert_equal(getattr(found, part.name), getattr(expected, part.name))


OF_SESSION_MODEL = ("/session_items", "/context_vectors", "/next_vectors", "/next_biases")


def leave_out(folder, manifest, names):
    """Deletes the files with some names, also from the manifest."""
    for file in [*manifest["files"]]:
        if any(name in file for name in names):
            (folder / file).unlink()
            del manifest["files"][file]


class TestOpenBundle:
    def test_gives_back_every_array_that_was_published(self, root, cache):
        version = publish_one(root)

        bundle = open_bundle(root, version, cache_dir=cache)

        assert_equal(bundle.fitted.catalogue, WORLD.fitted.catalogue)
        assert_equal(bundle.fitted.tables, WORLD.fitted.tables)
        assert_equal(bundle.fitted.archive, WORLD.fitted.archive)
        assert bundle.fitted.catalogue.version == version
        assert bundle.model_path("main").read_bytes() == b"trees"

    def test_maps_the_files_read_only_without_the_memmap_class(self, root, cache):
        bundle = open_bundle(root, publish_one(root), cache_dir=cache)

        vectors = bundle.fitted.catalogue.vectors
        assert type(vectors) is np.ndarray
        assert isinstance(vectors.base, np.memmap)
        assert not vectors.flags.writeable

    def test_keeps_columns_whose_names_would_do_harm_as_names_of_files(self, root, cache):
        rows = len(WORLD.fitted.catalogue)
        strange = {
            "../a": TextColumn.of(["x"] * rows),
            "Brand": TagsColumn.of([["x", "y"]] * rows),
            "brand ": NumberColumn(np.arange(rows, dtype=float)),
            "é" * 200: NumberColumn(np.zeros(rows)),
        }
        catalogue = replace(
            WORLD.fitted.catalogue, columns={**WORLD.fitted.catalogue.columns, **strange}
        )
        manifest = publish(
            root, contents(fitted=replace(WORLD.fitted, catalogue=catalogue)), created_at=1.0
        )

        bundle = open_bundle(root, manifest.version, cache_dir=cache)

        assert_equal(bundle.fitted.catalogue, catalogue)

    def test_says_what_the_manifest_is_of(self, root, cache):
        manifest = open_bundle(root, publish_one(root), cache_dir=cache).manifest

        assert manifest.version.startswith("20231114-")
        assert manifest.n_users == len(WORLD.fitted.archive.offsets) - 1
        assert manifest.n_items == WORLD.fitted.catalogue.listed.sum()
        assert manifest.n_interactions == len(WORLD.fitted.archive.events)
        assert manifest.models["main"].fingerprint == fingerprint(FEATURES)
        assert manifest.metrics == {"popular": {"ndcg_at_10": 0.1}}

    @pytest.mark.parametrize("version", ["20231114-00000000", "..", "", "current"])
    def test_refuses_a_version_that_is_not_there(self, root, cache, version):
        publish_one(root)

        with pytest.raises(BundleMissing, match="recserve fit"):
            open_bundle(root, version, cache_dir=cache)

    @pytest.mark.parametrize(
        ("name", "damage", "reason"),
        [
            ("models/main.ubj", lambda file: file.unlink(), "models/main.ubj is missing"),
            ("catalogue/listed.npy", lambda file: os.truncate(file, 9), "has 9 bytes instead of"),
            ("manifest.json", lambda file: file.unlink(), "manifest.json is missing"),
            ("manifest.json", lambda file: file.write_text("{"), "is not JSON"),
            ("manifest.json", lambda file: file.write_text("[]"), "format is None"),
            (
                "catalogue/listed.npy",
                lambda file: file.write_bytes(b"?" * file.stat().st_size),
                "catalogue/listed.npy",
            ),
        ],
    )
    def test_refuses_a_damaged_file(self, root, cache, tmp_path, name, damage, reason):
        version = publish_one(root)
        damage(tmp_path / "bundles" / version / name)

        with pytest.raises(BundleDamaged, match=reason):
            open_bundle(root, version, cache_dir=cache)

    def test_refuses_a_format_of_another_build(self, root, cache, tmp_path):
        version = publish_one(root)
        change_manifest(tmp_path / "bundles" / version, format=1)

        with pytest.raises(BundleDamaged, match="format is 1, this build reads 5, 6, 7, 8 and 9"):
            open_bundle(root, version, cache_dir=cache)

    @pytest.mark.parametrize("number", [5, 6, 7])
    def test_reads_formats_without_sessions(self, root, cache, tmp_path, number):
        version = publish_one(root)
        folder = tmp_path / "bundles" / version
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["format"] == 9
        for later in ("shop_id", "order", "revision"):
            del manifest[later]
        weights = folder / "tables" / "source_weights.npy"
        np.save(weights, np.load(weights)[[0, 1, 2, 5, 6, 7]])
        manifest["files"]["tables/source_weights.npy"]["size"] = weights.stat().st_size
        without = (
            "/until_at",
            "/transition_",
            "/step_",
            "/pair_",
            "/session_",
            "/visit",
            *OF_SESSION_MODEL,
            *(["/word_"] if number < 7 else []),
        )
        leave_out(folder, manifest, without)
        (folder / "manifest.json").write_text(json.dumps({**manifest, "format": number}))

        opened = open_bundle(root, version, cache_dir=cache)

        said = opened.manifest
        assert (said.format, said.shop_id, said.order) == (number, "", "model")
        assert said.revision == 0
        tables = opened.fitted.tables
        assert len(tables.word_vectors) == 0 or number == 7
        assert [len(tables.transition_rows), len(tables.session_rows), len(tables.visits)] == [
            0
        ] * 3
        assert tables.source_weights[SOURCES.index("next_items")] == 0

    def test_reads_the_format_without_a_model_of_sessions(self, root, cache, tmp_path):
        version = publish_one(root)
        folder = tmp_path / "bundles" / version
        manifest = json.loads((folder / "manifest.json").read_text())
        leave_out(folder, manifest, OF_SESSION_MODEL)
        (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 8}))

        fitted = open_bundle(root, version, cache_dir=cache).fitted

        assert len(fitted.tables.session_items) == 0

    def test_refuses_a_manifest_that_lacks_something(self, root, cache, tmp_path):
        version = publish_one(root)
        change_manifest(tmp_path / "bundles" / version, n_users=None)

        with pytest.raises(BundleDamaged, match="n_users"):
            open_bundle(root, version, cache_dir=cache)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"version": "20231113-00000000"}, "is that of 20231113-00000000"),
            ({"version": "20231114-00000000/../x"}, "version: String should match pattern"),
            ({"version": "x20231114-00000000"}, "version: String should match pattern"),
            ({"files": {"../out": {"sha256": "", "size": 0}}}, "'../out' is no file below"),
            ({"files": {"/etc/passwd": {"sha256": "", "size": 0}}}, "is no file below the folder"),
            ({"files": {"a//b": {"sha256": "", "size": 0}}}, "is no file below the folder"),
            ({"files": {"a\\b": {"sha256": "", "size": 0}}}, "is no file below the folder"),
        ],
    )
    def test_refuses_names_that_lead_elsewhere(self, root, cache, tmp_path, changes, reason):
        version = publish_one(root)
        change_manifest(tmp_path / "bundles" / version, **changes)

        with pytest.raises(BundleDamaged, match=reason):
            open_bundle(root, version, cache_dir=cache)

    @pytest.mark.parametrize("field", ["file", "held_out"])
    @pytest.mark.parametrize("name", ["../main.ubj", "/etc/passwd", "models/other.ubj"])
    def test_refuses_a_model_that_is_none_of_its_files(self, root, cache, tmp_path, field, name):
        version = publish_one(root)
        folder = tmp_path / "bundles" / version
        models = json.loads((folder / "manifest.json").read_text())["models"]
        models["main"][field] = name
        change_manifest(folder, models=models)

        with pytest.raises(BundleDamaged, match=f"the model 'main' is in '{name}', which is not"):
            open_bundle(root, version, cache_dir=cache)

    def test_refuses_offsets_that_lead_past_the_values(self, root, cache):
        tables = replace(WORLD.fitted.tables, buyers=WORLD.fitted.tables.buyers[:-1])
        manifest = publish(
            root, contents(fitted=replace(WORLD.fitted, tables=tables)), created_at=1.0
        )

        with pytest.raises(BundleDamaged, match="buyer offsets"):
            open_bundle(root, manifest.version, cache_dir=cache)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("factors_in", "factors_in has not one row per item"),
            ("trends", "trends has not one row per item"),
            ("recent_trends", "recent_trends has not one row per item"),
            ("source_weights", "source_weights has not one weight per source"),
            ("period_starts_at", "period_counts has not one column per period"),
        ],
    )
    def test_refuses_tables_that_do_not_fit_the_items(self, root, cache, name, reason):
        tables = replace(WORLD.fitted.tables, **{name: getattr(WORLD.fitted.tables, name)[:-1]})
        manifest = publish(
            root, contents(fitted=replace(WORLD.fitted, tables=tables)), created_at=1.0
        )

        with pytest.raises(BundleDamaged, match=reason):
            open_bundle(root, manifest.version, cache_dir=cache)

    @pytest.mark.parametrize(
        ("name", "damaged", "reason"),
        [
            ("context_vectors", np.zeros((2, 2, 4)), "context_vectors does not fit the items"),
            ("next_vectors", np.zeros((2, 1)), "context_vectors does not fit the items"),
            ("next_vectors", np.zeros((3, 4)), "next_vectors does not fit the items"),
            ("next_biases", np.zeros(1), "next_biases does not fit the items"),
            ("session_items", np.array([4, 0]), "session_items are not rows of items, ascending"),
            ("session_items", np.array([0, 10**6]), "session_items are not rows of items"),
        ],
    )
    def test_refuses_a_damaged_model_of_sessions(self, root, cache, name, damaged, reason):
        model = {
            "session_items": np.array([0, 4]),
            "context_vectors": np.zeros((2, 3, 4)),
            "next_vectors": np.zeros((2, 4)),
            "next_biases": np.zeros(2),
        }
        tables = replace(WORLD.fitted.tables, **{**model, name: damaged})
        manifest = publish(
            root, contents(fitted=replace(WORLD.fitted, tables=tables)), created_at=1.0
        )

        with pytest.raises(BundleDamaged, match=reason):
            open_bundle(root, manifest.version, cache_dir=cache)

    def test_finds_a_changed_byte_when_asked_to_verify(self, root, cache, tmp_path):
        version = publish_one(root)
        file = tmp_path / "bundles" / version / "models" / "main.ubj"
        assert verify_bundle(root, version, cache_dir=cache).version == version

        file.write_bytes(b"freed")

        assert open_bundle(root, version, cache_dir=cache).manifest.version == version
        with pytest.raises(BundleDamaged, match=r"main\.ubj is not the file"):
            verify_bundle(root, version, cache_dir=cache)


class TestPublish:
    def test_makes_the_new_version_current(self, root):
        assert current_version(root) is None

        first, second = publish_one(root), publish_one(root, b"more trees")

        assert first != second
        assert current_version(root) == second

    def test_changes_nothing_when_the_same_is_published_again(self, root, tmp_path):
        version = publish_one(root)
        manifest = tmp_path / "bundles" / version / "manifest.json"
        before = manifest.read_text()

        again = publish(root, contents(), created_at=2.0)

        assert again.version == version
        assert manifest.read_text() == before
        assert versions(root) == [version]

    def test_mends_a_damaged_version_by_publishing_it_again(self, root, cache, tmp_path):
        version = publish_one(root)
        (tmp_path / "bundles" / version / "models" / "main.ubj").unlink()

        publish_one(root)

        assert open_bundle(root, version, cache_dir=cache).model_path("main").exists()

    def test_leaves_the_current_version_alone_when_it_dies_half_way(
        self, root, tmp_path, monkeypatch
    ):
        version = publish_one(root)

        def die(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(bundle_local, "write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            publish_one(root, b"more trees")

        assert current_version(root) == version
        assert versions(root) == [version]
        assert not list((tmp_path / "bundles").glob(".partial-*"))

    def test_removes_what_a_killed_publisher_left(self, root, tmp_path):
        leftover = tmp_path / "bundles" / ".partial-of-the-dead"
        leftover.mkdir(parents=True)
        (leftover / "half").write_text("a file")

        publish_one(root)

        assert not leftover.exists()

    def test_keeps_the_newest_versions_only(self, root):
        published = [publish_one(root, bytes([i]), n_kept=2) for i in range(4)]

        assert versions(root) == published[-2:]

    def test_keeps_the_current_version_however_old_it_is(self, root):
        first, _, third = (publish_one(root, bytes([i])) for i in range(3))

        publish_one(root, bytes([0]), n_kept=1)

        assert current_version(root) == first
        assert versions(root) == [first, third]

    def test_takes_turns_with_other_publishers(self, root, cache):
        with ThreadPoolExecutor(4) as pool:
            published = set(pool.map(lambda i: publish_one(root, bytes([i])), range(4)))

        assert set(versions(root)) == published
        assert current_version(root) in published
        for version in published:
            verify_bundle(root, version, cache_dir=cache)

    def test_names_bundles_apart_that_differ_in_what_a_model_is_for(self, root):
        model = contents().models["main"]
        other = replace(model, features=FEATURES[::-1])

        assert (
            publish_one(root)
            != publish(root, contents(models={"main": other}), created_at=1.0).version
        )

    def test_refuses_a_root_that_cannot_be_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("")

        with pytest.raises(SettingsInvalid, match="bundle root"):
            publish_one(str(tmp_path / "file" / "bundles"))

    def test_only_the_owner_may_read_what_it_holds(self, root, cache, tmp_path):
        report = tmp_path / "made"
        report.mkdir()
        (report / "report.json").write_text("{}")
        report.chmod(0o755)

        with umask(0o022):
            version = publish(root, contents(), created_at=1.0, report=report).version
            open_bundle(f"file://{root}", version, cache_dir=cache)

        for folder in (tmp_path / "bundles", cache):
            readable = [path for path in (folder, *folder.rglob("*")) if is_open_to_others(path)]
            assert {path.name for path in readable} <= {".lock"}

    def test_stores_nothing_as_a_pickle(self, root):
        catalogue = replace(WORLD.fitted.catalogue, vectors=np.array([{}], dtype=object))

        with pytest.raises(ValueError, match="allow_pickle"):
            publish(
                root, contents(fitted=replace(WORLD.fitted, catalogue=catalogue)), created_at=1.0
            )


class TestHeldOut:
    def test_keeps_the_model_that_was_measured_beside_the_published_one(self, root, cache):
        model = replace(contents().models["main"], held_out=b"fewer trees")
        version = publish(root, contents(models={"main": model}), created_at=1.0).version

        bundle = open_bundle(root, version, cache_dir=cache, verify=True)

        assert bundle.manifest.models["main"].held_out == "held_out/main.ubj"
        assert bundle.held_out_path("main").read_bytes() == b"fewer trees"
        assert bundle.model_path("main").read_bytes() == b"trees"
        assert version != publish_one(root)

    def test_is_none_where_it_was_not_kept(self, root, cache):
        bundle = open_bundle(root, publish_one(root), cache_dir=cache)

        assert bundle.held_out_path("main") is None
        with pytest.raises(KeyError):
            bundle.held_out_path("challenger")

    def test_says_where_the_evaluation_window_begins(self, root):
        manifest = publish(root, contents(measured_from_at=7.0), created_at=1.0)

        assert manifest_of(root, manifest.version).measured_from_at == 7.0


class TestManifestOf:
    @pytest.fixture(params=["", "file://"])
    def place(self, request, root):
        return f"{request.param}{root}"

    @pytest.mark.parametrize("version", ["20231114-00000000", "..", "", "current"])
    def test_names_the_versions_that_there_are_instead(self, place, version):
        there = publish_one(place)

        with pytest.raises(BundleMissing, match=f"there are {there}$"):
            manifest_of(place, version)

    def test_refuses_one_that_this_build_does_not_read(self, place, tmp_path):
        version = publish_one(place)
        change_manifest(tmp_path / "bundles" / version, format=1)

        with pytest.raises(BundleDamaged, match="fit again"):
            manifest_of(place, version)

    def test_points_to_the_fit_where_nothing_is_published(self, place):
        with pytest.raises(BundleMissing, match="recserve fit"):
            manifest_of(place, "20231114-00000000")

    def test_current_that_names_no_version_is_damage(self, place, tmp_path):
        publish_one(place)
        (tmp_path / "bundles" / "current").write_text("../elsewhere")

        with pytest.raises(BundleDamaged, match="names no version"):
            current_version(place)


class TestUri:
    @pytest.fixture
    def uri(self, root):
        return f"file://{root}"

    def test_publishes_and_opens_a_copy(self, uri, cache):
        version = publish_one(uri)

        bundle = open_bundle(uri, version, cache_dir=cache, verify=True)

        assert current_version(uri) == version
        assert bundle.folder == cache / version
        assert_equal(bundle.fitted.catalogue, WORLD.fitted.catalogue)

    def test_needs_the_store_only_once_per_version(self, uri, root, cache):
        version = publish_one(uri)
        open_bundle(uri, version, cache_dir=cache)

        shutil.rmtree(root)

        assert open_bundle(uri, version, cache_dir=cache).manifest.version == version

    def test_copies_again_what_was_damaged_on_the_node(self, uri, cache):
        version = publish_one(uri)
        open_bundle(uri, version, cache_dir=cache).model_path("main").unlink()

        bundle = open_bundle(uri, version, cache_dir=cache)

        assert bundle.model_path("main").read_bytes() == b"trees"

    def test_keeps_no_copy_of_a_damaged_version(self, uri, cache, tmp_path):
        version = publish_one(uri)
        (tmp_path / "bundles" / version / "models" / "main.ubj").write_bytes(b"freed")

        with pytest.raises(BundleDamaged, match=f"{version} is damaged"):
            open_bundle(uri, version, cache_dir=cache)
        assert not list(cache.glob("[!.]*"))

    def test_keeps_few_copies_on_the_node(self, uri, cache):
        published = [publish_one(uri, bytes([i])) for i in range(5)]
        for version in published:
            open_bundle(uri, version, cache_dir=cache)

        assert {path.name for path in cache.glob("[!.]*")} == set(published[-3:])

    def test_reads_a_manifest_without_copying_anything(self, uri, cache):
        version = publish_one(uri)

        assert manifest_of(uri, version).version == version
        assert not cache.exists()

    def test_copies_once_when_many_replicas_ask_at_once(self, uri, cache):
        version = publish_one(uri)

        with ThreadPoolExecutor(4) as pool:
            opened = list(pool.map(lambda _: open_bundle(uri, version, cache_dir=cache), range(4)))

        assert {bundle.folder for bundle in opened} == {cache / version}
        assert not list(cache.glob(".partial-*"))

    def test_a_whole_copy_is_open_to_all_while_another_version_is_copied(
        self, uri, cache, monkeypatch
    ):
        version = publish_one(uri)
        open_bundle(uri, version, cache_dir=cache)

        with monkeypatch.context() as patched:
            patched.setattr(bundle_remote, "exclusive", no_lock_is_free)
            opened = open_bundle(uri, version, cache_dir=cache)
            with pytest.raises(BlockingIOError):
                open_bundle(uri, publish_one(uri, b"other"), cache_dir=cache)

        assert opened.manifest.version == version

    def test_is_a_version_only_once_its_manifest_is_there(self, uri, cache, tmp_path):
        version = publish_one(uri)
        (tmp_path / "bundles" / version / "manifest.json").unlink()

        assert versions(uri) == []
        with pytest.raises(BundleMissing):
            open_bundle(uri, version, cache_dir=cache)
        assert publish_one(uri) == version
        assert versions(uri) == [version]

    def test_keeps_the_newest_versions_only(self, uri):
        published = [publish_one(uri, bytes([i]), n_kept=2) for i in range(4)]

        assert versions(uri) == published[-2:]

    @pytest.mark.parametrize("version", ["20231114-00000000", "../x"])
    def test_refuses_a_version_that_is_not_there(self, uri, cache, version):
        publish_one(uri)

        with pytest.raises(BundleMissing):
            open_bundle(uri, version, cache_dir=cache)

    def test_has_no_current_version_before_the_first(self, uri):
        assert current_version(uri) is None
        assert versions(uri) == []

    def test_says_so_when_the_store_cannot_be_read(self, uri, tmp_path):
        (tmp_path / "bundles").write_text("a file where a folder should be")

        with pytest.raises(StoreUnavailable, match="bundle"):
            current_version(uri)

    def test_refuses_a_kind_of_uri_that_it_does_not_know(self):
        with pytest.raises(SettingsInvalid, match="gopher"):
            current_version("gopher://bundles")


@pytest.fixture
def hasty_threads():
    """Threads take turns at every collection of garbage, and garbage is collected all the time."""
    before = gc.get_threshold()

    def let_others_run(phase, info):
        select.select([], [], [], 0)

    gc.callbacks.append(let_others_run)
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(let_others_run)


@pytest.mark.usefixtures("hasty_threads")
def test_is_opened_by_many_threads_at_once(root, cache):
    version = publish_one(root)

    def open_at_depth(n):
        # What Python 3.11 confuses between threads is how deep in calls each of them is.
        return open_bundle(root, version, cache_dir=cache) if n == 0 else open_at_depth(n - 1)

    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(open_at_depth, range(60)))

    assert {bundle.manifest.version for bundle in opened} == {version}
