import asyncio

import pytest

from serve_app.bundles.bundle import current_version
from serve_app.errors import StageFailed
from serve_app.serving import bundle_shelf
from serve_app.serving.bundle_shelf import N_KEPT, BundleShelf
from tests.support.in_process import logged, until
from tests.support.small_bundles import damage, location_of, publish_world


@pytest.fixture
def root(tmp_path):
    return tmp_path / "bundles"


class Prepared:
    """Makes a shelf and remembers what it prepared."""

    def __init__(self, root):
        self.versions = []
        self.shelf = BundleShelf(location_of(root), "ranker", self._prepare)

    def _prepare(self, bundle):
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


def test_a_version_that_failed_is_tried_again(root):
    manifest = publish_world(root)
    file = root / manifest.version / "tables" / "popular_rows.npy"
    whole = file.read_bytes()
    damage(root, manifest)

    async def scenario():
        prepared = Prepared(root)
        with pytest.raises(StageFailed, match="BundleDamaged"):
            await prepared.shelf.at(manifest.version)
        file.write_bytes(whole)
        return await prepared.shelf.at(manifest.version)

    assert asyncio.run(scenario()) == manifest.version


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


def test_names_the_current_version(root):
    async def scenario():
        shelf = Prepared(root).shelf
        before = await shelf.current()
        version = publish_world(root).version
        return before, await shelf.current() == version

    assert asyncio.run(scenario()) == (None, True)


def test_says_that_the_root_cannot_be_read(root):
    publish_world(root)
    (root / "current").write_text("no version\n")

    async def scenario():
        with pytest.raises(StageFailed, match="ranker: BundleDamaged"):
            await Prepared(root).shelf.current()

    asyncio.run(scenario())


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
    n_looks = []
    monkeypatch.setattr(
        bundle_shelf, "current_version", lambda place: n_looks.append(1) or current_version(place)
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
