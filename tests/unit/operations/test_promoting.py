"""What an operator may promote, under both kinds of roots, with real files."""

import json

import pytest

from serve_app.bundles.bundle import current_version
from serve_app.bundles.promotions import promotions
from serve_app.bundles.publishing import publish
from serve_app.errors import (
    BundleDamaged,
    BundleMissing,
    NothingServedBefore,
    PromotionRefused,
)
from serve_app.operations.promoting import promote, rollback
from tests.support.small_bundles import contents_of, of_another_format, of_other_features

SERVED = ("main", "challenger")


@pytest.fixture(params=["", "file://"], ids=["folder", "URI"])
def root(request, tmp_path):
    return f"{request.param}{tmp_path / 'bundles'}"


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    verdict = {"promoted": False, "reason": "NDCG@10 fell by 0.02"}
    (folder / "report.json").write_text(json.dumps({"verdict": verdict}))
    return folder


def publish_one(root, n_trees, variants=SERVED, **options):
    return publish(root, contents_of(n_trees, variants), created_at=1.0, **options).version


def last_cause(root):
    return promotions(root)[-1].by


def test_serves_a_version_that_nothing_speaks_against(root):
    first, _ = publish_one(root, 1), publish_one(root, 2)

    assert promote(root, first, SERVED, force=False, at=5.0) is None
    assert current_version(root) == first
    assert last_cause(root) == "operator"


def test_needs_force_for_a_version_that_its_fit_kept_back(root, report):
    served = publish_one(root, 1)
    kept = publish_one(root, 2, promote=False, report=report)

    with pytest.raises(PromotionRefused) as refused:
        promote(root, kept, SERVED, force=False, at=5.0)
    assert current_version(root) == served
    assert str(refused.value) == (
        f"{kept} is not promoted: its fit kept it back (NDCG@10 fell by 0.02)."
        f" `recserve models promote {kept} --force` does it all the same"
    )

    assert "kept it back" in promote(root, kept, SERVED, force=True, at=5.0)
    assert current_version(root) == kept
    assert last_cause(root) == "forced"


@pytest.mark.parametrize("is_there", [False, True])
def test_needs_force_for_a_version_that_replicas_would_not_take_up(root, tmp_path, is_there):
    served = publish_one(root, 1)
    other = publish_one(root, 3, SERVED if is_there else ("main",), promote=False)
    if is_there:
        of_other_features(tmp_path / "bundles", other, "challenger")

    with pytest.raises(PromotionRefused, match=r"no model of challenger .* not take it up"):
        promote(root, other, SERVED, force=False, at=5.0)
    assert current_version(root) == served

    assert "no model of challenger" in promote(root, other, SERVED, force=True, at=5.0)
    assert current_version(root) == other
    assert last_cause(root) == "forced"


def test_names_everything_that_speaks_against_a_version(root, report):
    kept = publish_one(root, 2, ("main",), promote=False, report=report)

    with pytest.raises(PromotionRefused, match=r"no model of challenger .*; its fit kept it back"):
        promote(root, kept, SERVED, force=False, at=5.0)


def test_takes_a_version_that_has_models_of_all_that_is_served(root):
    publish_one(root, 1)
    other = publish_one(root, 3, ("main",), promote=False)

    assert promote(root, other, ("main",), force=False, at=5.0) is None


@pytest.mark.parametrize("force", [False, True])
def test_refuses_a_version_that_is_not_there(root, force):
    version = publish_one(root, 1)

    with pytest.raises(BundleMissing, match=f"there are {version}"):
        promote(root, "20231114-00000000", SERVED, force=force, at=5.0)


def test_refuses_even_with_force_what_this_build_cannot_read(root, tmp_path):
    version = publish_one(root, 1, promote=False)
    of_another_format(tmp_path / "bundles", version)

    with pytest.raises(BundleDamaged, match="format is 1"):
        promote(root, version, SERVED, force=True, at=5.0)


def test_rolls_back(root):
    first, _ = publish_one(root, 1), publish_one(root, 2)

    assert rollback(root, SERVED, at=5.0) == first
    assert current_version(root) == first
    with pytest.raises(NothingServedBefore):
        rollback(root, SERVED, at=5.0)


def test_rolls_back_to_nothing_that_replicas_would_not_take_up(root):
    first, second = publish_one(root, 1, ("main",)), publish_one(root, 2)

    with pytest.raises(PromotionRefused, match=f"{first} is not promoted: .* of challenger"):
        rollback(root, SERVED, at=5.0)

    assert current_version(root) == second
