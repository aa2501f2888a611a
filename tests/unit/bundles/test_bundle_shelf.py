import asyncio
import shutil
from threading import Event

import pytest

from serve_app.bundles import bundle_shelf, shared_bundles
from serve_app.bundles.bundle import open_bundle
from serve_app.bundles.bundle_shelf import N_KEPT, BundleShelf
from serve_app.bundles.publishing import publish
from serve_app.bundles.roots import BundleLocation
from serve_app.bundles.serving_order import current_order
from serve_app.errors import NoBundleOpens, StageFailed, StageTimedOut
from serve_app.serving.stages.scorer import Scorer
from tests.support.in_process import logged, until
from tests.support.small_bundles import contents_of, damage, location_of, publish_world
from tests.support.small_world import AT


@pytest.fixture
def root(tmp_path):
    return tmp_path / "bundles"


class Prepared:
    """Makes a shelf and remembers what it prepared."""

    def __init__(self, root, fault=None, location=None):
        self.versions, self.fault, self.now_s = [], fault, 0.0
        self.shelf = BundleShelf(
            location or location_of(root), "ranker", self._prepare, lambda: self.now_s
        )

    def _prepare(self, bundle):
        if self.fault is not None:
            raise self.fault
        self.versions.append(bundle.manifest.version)
        return bundle.manifest.version


def test_opens_a_version_once_however_many_ask(root):
    version = publish_world(root).version

    async def scenario():
        prepared = Prepared(root)
        answers = await asyncio.gather(*(prepared.shelf.at(version) for _ in range(20)))
        return answers, prepared.versions

    assert asyncio.run(scenario()) == ([version] * 20, [version])


def test_keeps_the_version_before_for_batches_on_their_way(root):
    async def scenario():
        prepared = Prepared(root)
        versions = []
        for n_trees in (5, 6, 7):
            versions.append(publish_world(root, n_trees).version)
            for version in versions[-2:]:
                await prepared.shelf.at(version)
        n_opened = len(prepared.versions)
        await prepared.shelf.at(versions[0])
        return n_opened, versions, prepared.versions

    n_opened, versions, opened = asyncio.run(scenario())

    assert N_KEPT == 2
    assert n_opened == 3
    assert opened == [*versions, versions[0]]


def test_a_version_that_cannot_be_opened_is_the_stages_failure(root):
    publish_world(root)

    async def scenario():
        with pytest.raises(StageFailed) as failed:
            await Prepared(root).shelf.at("20260101-00000000")
        return failed.value.stage, failed.value.reason

    assert asyncio.run(scenario()) == ("ranker", "BundleMissing")


@pytest.mark.parametrize("fault", [MemoryError(), RuntimeError("unforeseen"), OSError("full")])
def test_a_version_that_failed_is_tried_again_after_a_pause_whatever_failed(root, fault):
    version = publish_world(root).version

    async def scenario():
        prepared = Prepared(root, fault)
        shelf = prepared.shelf
        with pytest.raises(StageFailed, match=type(fault).__name__):
            await shelf.at(version)
        prepared.fault = None
        with pytest.raises(StageFailed, match=type(fault).__name__):
            await shelf.at(version)
        prepared.now_s = bundle_shelf.POLL_S
        return await shelf.at(version)

    assert asyncio.run(scenario()) == version


def test_the_pause_doubles_up_to_a_limit(root):
    version = publish_world(root).version

    async def scenario():
        prepared, pauses = Prepared(root, MemoryError()), []
        for _ in range(8):
            with pytest.raises(StageFailed):
                await prepared.shelf.at(version)
            until_s = prepared.shelf._failed[version].until_s
            pauses.append(until_s - prepared.now_s)
            prepared.now_s = until_s
        return pauses

    assert asyncio.run(scenario()) == [2, 4, 8, 16, 32, 60, 60, 60]


def test_remembers_the_faults_of_a_few_versions_only(root):
    publish_world(root)

    async def scenario():
        shelf = Prepared(root).shelf
        for number in range(bundle_shelf.N_FAILED + 5):
            with pytest.raises(StageFailed):
                await shelf.at(f"20260101-{number:08x}")
        return len(shelf._failed)

    assert asyncio.run(scenario()) == bundle_shelf.N_FAILED


def test_one_who_gives_up_does_not_stop_the_opening_for_the_others(root):
    version = publish_world(root).version

    async def scenario():
        prepared = Prepared(root)
        hasty = asyncio.create_task(prepared.shelf.at(version))
        patient = asyncio.create_task(prepared.shelf.at(version))
        await asyncio.sleep(0)
        hasty.cancel()
        return await patient, hasty.cancelled() or hasty.cancelling() > 0

    assert asyncio.run(scenario()) == (version, True)


class TestToServe:
    def test_there_is_none_before_one_is_promoted(self, root):
        publish(str(root), contents_of(), created_at=AT, promote=False)

        assert asyncio.run(Prepared(root).shelf.to_serve()) is None

    def test_it_is_the_current_version(self, root):
        publish_world(root)
        second = publish_world(root, n_trees=6).version

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert (served.version, served.is_whole, served.faults) == (second, True, ())

    def test_it_is_the_version_before_where_the_current_one_is_damaged(self, root):
        first = publish_world(root).version
        second = publish_world(root, n_trees=6)
        damage(root, second)

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert (served.version, served.is_whole) == (first, True)
        assert served.faults[0].startswith(f"bundle {second.version} is damaged: tables/")

    def test_it_is_the_newest_of_the_versions_before_that_can_be_opened(self, root):
        versions = [publish_world(root, n_trees) for n_trees in (5, 6, 7, 8)]
        damage(root, versions[2])
        shutil.rmtree(root / versions[3].version)

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert served.version == versions[1].version

    def test_it_is_the_one_promoted_last_where_the_file_current_says_nonsense(self, root):
        publish_world(root)
        second = publish_world(root, n_trees=6).version
        (root / "current").write_text("no version\n")

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert served.version == second
        assert "current names no version" in served.faults[0]

    def test_it_is_the_one_promoted_last_where_the_file_current_is_lost(self, root):
        publish_world(root)
        second = publish_world(root, n_trees=6).version
        (root / "current").unlink()

        assert asyncio.run(Prepared(root).shelf.to_serve()).version == second

    def test_it_is_the_one_promoted_last_where_the_file_current_may_not_be_read(self, root):
        version = publish_world(root).version
        (root / "current").unlink()
        (root / "current").mkdir()

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert served.version == version
        assert "current: Is a directory" in served.faults[0]

    def test_it_is_the_version_before_where_the_current_one_is_no_folder(self, root):
        first = publish_world(root).version
        second = publish_world(root, n_trees=6).version
        shutil.rmtree(root / second)
        (root / second).write_text("")

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert served.version == first
        assert f"bundle {second} cannot be read" in served.faults[0]

    def test_lines_of_the_log_that_can_be_read_are_enough(self, root):
        first = publish_world(root).version
        damage(root, publish_world(root, n_trees=6))
        log = root / "promotions.jsonl"
        log.write_bytes(log.read_bytes()[:-30])

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert served.version == first
        assert "line 2 is no promotion" in served.faults[1]

    def test_it_is_never_one_that_was_kept_back(self, root):
        damage(root, publish_world(root))
        publish(str(root), contents_of(6), created_at=AT, promote=False)

        with pytest.raises(NoBundleOpens, match=r"can be opened: bundle .* is damaged"):
            asyncio.run(Prepared(root).shelf.to_serve())

    def test_it_has_all_models_if_any_version_has(self, root):
        first = publish_world(root).version
        publish_world(root, 6, variants=("main",))

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert served.version == first
        assert "has no usable model of challenger" in served.faults[0]

    def test_it_is_the_current_one_where_every_version_lacks_a_model(self, root):
        publish_world(root, 5, variants=("main",))
        second = publish_world(root, 6, variants=("main",)).version

        served = asyncio.run(Prepared(root).shelf.to_serve())

        assert (served.version, served.is_whole) == (second, False)

    def test_the_log_of_promotions_is_needed_only_where_the_current_one_fails(self, root):
        manifest = publish_world(root)
        (root / "promotions.jsonl").write_text("nonsense\n")

        served = asyncio.run(Prepared(root).shelf.to_serve())
        damage(root, manifest)

        assert (served.version, served.faults) == (manifest.version, ())
        with pytest.raises(NoBundleOpens, match=r"promotions\.jsonl: line 1 is no promotion"):
            asyncio.run(Prepared(root).shelf.to_serve())

    def test_a_store_that_does_not_answer_is_the_stages_failure(self, tmp_path):
        location = BundleLocation("file:///dev/null/bundles", tmp_path / "copies")

        with pytest.raises(StageFailed, match="ranker: StoreUnavailable"):
            asyncio.run(Prepared(None, location=location).shelf.to_serve())


class TestJoin:
    def test_waits_until_the_bundle_is_open(self, root):
        version = publish_world(root).version
        prepared = Prepared(root)

        asyncio.run(prepared.shelf.join())

        assert prepared.versions == [version]

    def test_an_empty_shop_has_nothing_to_wait_for(self, root):
        prepared = Prepared(root)

        asyncio.run(prepared.shelf.join())

        assert prepared.versions == []

    def test_gives_up_after_a_while_and_says_why(self, root, monkeypatch):
        monkeypatch.setattr(bundle_shelf, "POLL_S", 0.0)
        monkeypatch.setattr(bundle_shelf, "JOIN_S", -1.0)
        damage(root, publish_world(root))

        with pytest.raises(NoBundleOpens, match=r"popular_rows\.npy has"):
            asyncio.run(Prepared(root).shelf.join())

    def test_gives_up_where_the_root_cannot_be_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr(bundle_shelf, "JOIN_S", -1.0)
        location = BundleLocation("file:///dev/null/bundles", tmp_path / "copies")

        with pytest.raises(StageFailed, match="StoreUnavailable"):
            asyncio.run(Prepared(None, location=location).shelf.join())

    def test_does_not_wait_for_ever_for_an_opening_that_never_ends(self, root, monkeypatch):
        monkeypatch.setattr(bundle_shelf, "OPENING_S", 0.0)
        publish_world(root)

        with pytest.raises(StageTimedOut):
            asyncio.run(Prepared(root).shelf.join())

    def test_a_bundle_that_is_repaired_meanwhile_is_enough(self, root, monkeypatch):
        monkeypatch.setattr(bundle_shelf, "POLL_S", 0.0)
        manifest = publish_world(root)
        file = root / manifest.version / "tables" / "popular_rows.npy"
        whole = file.read_bytes()
        damage(root, manifest)

        async def scenario():
            prepared = Prepared(root)
            joining = asyncio.create_task(prepared.shelf.join())
            await until(lambda: manifest.version in prepared.shelf._failed)
            file.write_bytes(whole)
            await joining
            return prepared.versions

        assert asyncio.run(scenario()) == [manifest.version]

    def test_a_stage_without_its_model_joins_all_the_same(self, root):
        publish_world(root, variants=("main",))

        asyncio.run(Scorer("challenger", location_of(root)).check_health())

    def test_a_replica_that_has_joined_stays(self, root):
        manifest = publish_world(root)

        async def scenario():
            shelf = Prepared(root).shelf
            await shelf.join()
            shutil.rmtree(root / manifest.version)
            await shelf.join()

        asyncio.run(scenario())


class TestHolds:
    def test_an_opened_version(self, root, monkeypatch):
        monkeypatch.setattr(bundle_shelf, "HOLDS_S", 60.0)
        version = publish_world(root).version

        assert asyncio.run(Prepared(root).shelf.holds(version))

    def test_not_one_whose_opening_takes_long_and_then_it_does(self, root, monkeypatch):
        monkeypatch.setattr(bundle_shelf, "HOLDS_S", 0.0)
        version = publish_world(root).version

        async def scenario():
            prepared = Prepared(root)
            before = await prepared.shelf.holds(version)
            await until(lambda: prepared.versions == [version])
            monkeypatch.setattr(bundle_shelf, "HOLDS_S", 60.0)
            return before, await prepared.shelf.holds(version)

        assert asyncio.run(scenario()) == (False, True)

    def test_not_one_that_cannot_be_opened(self, root):
        manifest = publish_world(root)
        damage(root, manifest)

        assert not asyncio.run(Prepared(root).shelf.holds(manifest.version))

    def test_one_that_has_no_model_for_the_stage_because_waiting_is_of_no_use(self, root):
        version = publish_world(root, variants=("main",)).version

        assert asyncio.run(Scorer("challenger", location_of(root)).holds(version))


def test_a_version_that_is_copied_does_not_keep_others_from_a_whole_one(root, monkeypatch):
    slow, whole = (publish_world(root, n_trees).version for n_trees in (5, 6))
    release = Event()
    monkeypatch.setattr(
        shared_bundles,
        "open_bundle",
        lambda place, version, **more: (
            (version == whole or release.wait(60)) and open_bundle(place, version, **more)
        ),
    )

    async def scenario():
        shelf = Prepared(root).shelf
        waiting = asyncio.create_task(shelf.at(slow))
        opened = await shelf.at(whole)
        was_open = waiting.done()
        release.set()
        await waiting
        return opened, was_open

    assert asyncio.run(scenario()) == (whole, False)


def test_opens_a_new_version_before_a_batch_asks_for_it(root, monkeypatch):
    monkeypatch.setattr(bundle_shelf, "POLL_S", 0.01)
    first = publish_world(root).version

    async def scenario():
        prepared = Prepared(root)
        prepared.shelf.follow()
        await until(lambda: prepared.versions == [first])
        second = publish_world(root, n_trees=6).version
        await until(lambda: prepared.versions == [first, second])

    asyncio.run(scenario())


def test_goes_on_following_after_a_damaged_version(root, monkeypatch):
    monkeypatch.setattr(bundle_shelf, "POLL_S", 0.01)
    bad = publish_world(root)
    damage(root, bad)

    async def scenario():
        prepared = Prepared(root)
        with logged("ray.serve.recserve.bundles") as records:
            prepared.shelf.follow()
            await until(lambda: any("cannot be opened" in each.getMessage() for each in records))
        good = publish_world(root, n_trees=6).version
        await until(lambda: prepared.versions == [good])

    asyncio.run(scenario())


def test_tells_once_why_a_version_cannot_be_opened_however_often_it_is_tried(root):
    bad = publish_world(root)
    damage(root, bad)

    async def scenario():
        shelf = Prepared(root).shelf
        for _ in range(3):
            with pytest.raises(StageFailed):
                await shelf.at(bad.version)

    with logged("ray.serve.recserve.bundles") as records:
        asyncio.run(scenario())

    [said] = [each.getMessage() for each in records]
    assert said.startswith(f"ranker: bundle {bad.version} cannot be opened: bundle {bad.version}")


def test_tells_once_that_the_root_cannot_be_read_and_follows_when_it_can(root, monkeypatch):
    monkeypatch.setattr(bundle_shelf, "POLL_S", 0.01)
    version = publish_world(root).version
    (root / "current").write_text("no version\n")
    (root / "promotions.jsonl").unlink()
    n_looks = []
    monkeypatch.setattr(
        bundle_shelf, "current_order", lambda *place: n_looks.append(1) or current_order(*place)
    )

    async def scenario():
        prepared = Prepared(root)
        prepared.shelf.follow()
        await until(lambda: len(n_looks) > 3)
        (root / "current").write_text(version)
        await until(lambda: prepared.versions == [version])

    with logged("ray.serve.recserve.bundles") as records:
        asyncio.run(scenario())

    [said] = [each.getMessage() for each in records]
    assert said.endswith("current names no version")
