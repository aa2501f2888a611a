import asyncio
import json

import pytest

from serve_app.bundles.roots import BundleLocation
from serve_app.serving import experiment_in_use
from serve_app.serving.experiment_in_use import ACCEPTED, ExperimentInUse

VARIANTS = ("main", "challenger")
BAD = {"experiment": {"salt": "s", "weights": {"other": 1}}}


def weights(**by_variant):
    return {"experiment": {"salt": "s", "weights": by_variant}}


@pytest.fixture
def location(tmp_path):
    return BundleLocation(str(tmp_path), tmp_path / "copies")


@pytest.fixture
def make(location):
    return lambda: ExperimentInUse(location, VARIANTS)


def of(choice):
    return dict(choice.experiment.weights)


def test_a_restarted_service_with_a_refused_user_config_has_the_accepted_one(make):
    make().take(weights(main=1, challenger=3))
    restarted = make()

    restarted.take(BAD)

    assert of(restarted) == {"main": 1, "challenger": 3}
    assert "names other; served are main, challenger" in restarted.faults()[0]


def test_a_correct_user_config_ends_the_fault(make):
    choice = make()
    choice.take(BAD)

    choice.take(weights(challenger=1))

    assert choice.faults() == []
    assert of(choice) == {"challenger": 1}


def test_without_an_accepted_one_every_replica_has_the_default(make):
    choice = make()

    choice.take(BAD)

    assert of(choice) == {"main": 1.0}


def test_an_accepted_default_is_kept_like_any_other(make):
    make().take(weights(challenger=1))
    make().take(None)
    new = make()

    new.take(BAD)

    assert of(new) == {"main": 1.0}


def test_replicas_that_refuse_follow_what_another_one_accepts(make, monkeypatch):
    monkeypatch.setattr(experiment_in_use, "POLL_S", 0.001)
    late, other = make(), make()
    late.take(BAD)
    other.take(weights(challenger=1))

    async def agree():
        late.follow()
        while of(late) != of(other):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(agree(), 10))


def test_an_accepted_one_is_stored_as_soon_as_there_is_a_root(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_in_use, "POLL_S", 0.001)
    root = tmp_path / "later"
    choice = ExperimentInUse(BundleLocation(str(root), tmp_path / "copies"), VARIANTS)
    choice.take(weights(challenger=1))
    assert choice.faults() == []

    async def published():
        choice.follow()
        root.mkdir()
        while not (root / ACCEPTED).exists():
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(published(), 10))
    assert json.loads((root / ACCEPTED).read_text()) == weights(challenger=1)


@pytest.mark.parametrize("content", ["no JSON", '{"experiment": 1}', json.dumps(BAD)])
def test_says_that_the_accepted_one_cannot_be_used(make, tmp_path, content):
    (tmp_path / ACCEPTED).write_text(content)
    choice = make()

    choice.take(BAD)

    assert of(choice) == {"main": 1.0}
    assert "the accepted experiment cannot be used" in choice.faults()[1]


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[" * 100_000, b'{"experiment": 1}'])
def test_a_replica_that_has_the_accepted_one_restores_it_for_new_ones(
    make, tmp_path, monkeypatch, content
):
    monkeypatch.setattr(experiment_in_use, "POLL_S", 0.0)
    older = make()
    older.take(weights(main=1, challenger=3))
    older.take(BAD)
    (tmp_path / ACCEPTED).unlink()
    if content is not None:
        (tmp_path / ACCEPTED).write_bytes(content)
    newer = make()
    newer.take(BAD)

    async def restored():
        older.follow()
        newer.follow()
        while of(newer) != of(older):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(restored(), 10))
    assert of(newer) == {"main": 1, "challenger": 3}


def test_says_that_the_root_cannot_be_read_or_written(make, tmp_path):
    (tmp_path / ACCEPTED).mkdir()
    choice = make()

    choice.take(weights(challenger=1))
    assert of(choice) == {"challenger": 1}
    assert "the accepted experiment cannot be" in choice.faults()[0]

    (tmp_path / ACCEPTED).rmdir()
    choice.take(weights(challenger=1))
    assert choice.faults() == []
