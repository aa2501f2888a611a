"""Published versions under both kinds of roots, with real files."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from serve_app.bundles import promotions as bundle_promotions
from serve_app.bundles.bundle import current_version
from serve_app.bundles.publishing import publish
from serve_app.bundles.roots import BundleLocation
from serve_app.errors import BundleDamaged, BundleMissing, NothingServedBefore, PromotionRefused
from serve_app.operations.versions import describe_publication, listing, page, promote, rollback
from tests.support.small_bundles import contents_of, of_another_format, of_other_features

SERVED = ("main", "challenger")
AT = 1_700_000_000.0  # 2023-11-14 22:13 UTC


@pytest.fixture(params=["", "file://"], ids=["folder", "URI"])
def root(request, tmp_path):
    return f"{request.param}{tmp_path / 'bundles'}"


@pytest.fixture
def report(tmp_path):
    def write(promoted):
        folder = tmp_path / "made"
        folder.mkdir(exist_ok=True)
        verdict = {"promoted": promoted, "reason": "for a reason"}
        (folder / "report.json").write_text(json.dumps({"verdict": verdict}))
        return folder

    return write


def publish_one(root, n_trees, variants=SERVED, figure=0.25, **options):
    contents = contents_of(n_trees, variants)
    measures = {"ndcg_at_10": figure, "recall_at_10": 0.5}
    models = {name: replace(model, metrics=measures) for name, model in contents.models.items()}
    models["main"] = replace(models["main"], held_out=b"earlier")
    lists = {"popular": {"ndcg_at_10": 0.125, "recall_at_10": 0.2}, "tuning": {"half_life": 30.0}}
    return publish(
        root, replace(contents, models=models, metrics=lists), created_at=AT, **options
    ).version


@pytest.fixture
def kept_back_report(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    verdict = {"promoted": False, "reason": "NDCG@10 fell by 0.02"}
    (folder / "report.json").write_text(json.dumps({"verdict": verdict}))
    return folder


def publish_small(root, n_trees, variants=SERVED, **options):
    return publish(root, contents_of(n_trees, variants), created_at=1.0, **options).version


def located(root, variants=SERVED):
    return BundleLocation(root, Path(root.removeprefix("file://")).with_name("copies"), variants)


def spoil(file, harm):
    content = file.read_bytes()
    match harm:
        case "cut":
            file.write_bytes(content[:-8])
        case "changed":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "lost":
            file.unlink()


def last_cause(root):
    return bundle_promotions.promotions(root)[-1].by


class TestListing:
    def test_shows_a_line_per_version_with_what_became_of_it(self, root, report):
        first = publish_one(root, 1, report=report(True))
        second = publish_one(root, 2, ("main",), figure=0.5)
        third = publish_one(root, 3, promote=False, report=report(False))

        header, *rows, footer = listing(root).splitlines()

        sizes = "300 73 4000"
        assert header.split("  ")[0] == ""
        assert [row.split() for row in rows] == [
            [first, *f"2023-11-14 22:13 {sizes} 0.2500 0.2500 promoted".split()],
            ["*", second, *f"2023-11-14 22:13 {sizes} 0.5000 – unknown".split()],
            [third, *f"2023-11-14 22:13 {sizes} 0.2500 0.2500 kept back".split()],
        ]
        ends = {name: header.index(name) + len(name) for name in ("items", "interactions")}
        for row in rows:
            assert row[: ends["items"]].endswith(" 300")
            assert row[: ends["interactions"]].endswith(" 4000")
        assert footer == f"* is served; `recserve versions rollback` would serve {first}"

    def test_shows_what_this_build_cannot_read_beside_the_rest(self, root, tmp_path):
        first, second = publish_one(root, 1), publish_one(root, 2)
        of_another_format(tmp_path / "bundles", first)

        lines = listing(root).splitlines()

        assert lines[1].split() == [first, *["–"] * 6, "unreadable"]
        assert lines[2].startswith(f"*  {second}")
        assert lines[3].startswith(f"bundle {first} is damaged: its format is 1")
        assert len(lines) == 4

    def test_shows_the_versions_although_what_names_the_served_one_is_damaged(self, root, tmp_path):
        first, second = publish_one(root, 1), publish_one(root, 2)
        (tmp_path / "bundles" / "current").write_text("main")

        lines = listing(root).splitlines()

        assert [line.split()[0] for line in lines[1:3]] == [first, second]
        assert lines[3].endswith(
            "current names no version: `recserve versions promote` writes it anew"
        )

    def test_says_so_when_nothing_is_published(self, root):
        assert listing(root) == f"nothing is published under {root}: `recserve fit` does"


class TestPublication:
    def test_says_what_was_published(self, root):
        manifest = publish(root, contents_of(1), created_at=AT)

        assert describe_publication(root, manifest) == f"published {manifest.version}"

    def test_says_that_nothing_new_was_published(self, root):
        publish(root, contents_of(1), created_at=AT)
        manifest = publish(root, contents_of(1), created_at=AT + 1)

        said = describe_publication(root, manifest)
        assert said == f"published {manifest.version} again: its contents have not changed"


class TestOrderedByPopularity:
    def test_is_named_in_the_list_and_on_the_page(self, root, report):
        contents = replace(contents_of(1), order="popularity")
        version = publish(root, contents, created_at=AT, report=report(True)).version

        assert listing(root).splitlines()[1].endswith("promoted, by popularity")
        shown = page(root, version, SERVED)
        assert "lists are    ordered by popularity: no model was better" in shown
        assert all(line.endswith(" no") for line in shown.splitlines() if "binary:log" in line)

    def test_is_another_version_than_the_models(self, root):
        by_model = publish(root, contents_of(1), created_at=AT)
        by_popularity = publish(root, replace(contents_of(1), order="popularity"), created_at=AT)

        assert by_model.version != by_popularity.version


class TestPage:
    def test_a_version_that_is_served_is_not_kept_back(self, root, report):
        version = publish_one(root, 1, promote=False, report=report(False))
        promote(located(root), version, force=True, at=AT)

        assert "overruled: for a reason" in page(root, version, SERVED)
        assert listing(root).splitlines()[1].endswith(" overruled")

    def test_shows_the_served_version_in_full(self, root, report):
        version = publish_one(root, 1, report=report(True))

        shown = page(root, None, SERVED)

        title, facts, models, measures, tuned = shown.split("\n\n")
        assert title == f"{version} is served"
        said = dict(line.split(maxsplit=1) for line in facts.splitlines())
        assert said["published"] == "2023-11-14 22:13 UTC"
        assert said["verdict"] == "promoted: for a reason"
        assert said["report"] == f"{root}/reports/{version}"
        assert said["promoted"] == "2023-11-14 22:13 UTC by fit"
        assert " to " in said["measured"]
        assert [line.split() for line in models.splitlines()[1:]] == [
            ["main", "binary:logistic", "1", said_features(models), "kept", "yes"],
            ["challenger", "rank:ndcg", "1", said_features(models), "–", "yes"],
        ]
        assert [line.split() for line in measures.splitlines()] == [
            ["ndcg_at_10", "recall_at_10"],
            ["main", "0.2500", "0.5000"],
            ["challenger", "0.2500", "0.5000"],
            ["popular", "0.1250", "0.2000"],
        ]
        assert [line.split() for line in tuned.splitlines()] == [["tuning"], ["half_life", "30"]]

    def test_shows_one_that_is_not_served(self, root, report):
        publish_one(root, 1)
        kept = publish_one(root, 2, promote=False, report=report(False))

        shown = page(root, kept, SERVED)

        assert shown.startswith(f"{kept} is not served\n")
        assert "\nverdict      kept back: for a reason\n" in shown
        assert "by fit" not in shown

    def test_shows_a_version_although_what_names_the_served_one_is_damaged(self, root, tmp_path):
        version = publish_one(root, 1)
        (tmp_path / "bundles" / "current").write_text("main")

        title = page(root, version, SERVED).split("\n\n")[0].splitlines()

        assert title[0] == f"{version} is not served"
        assert "current names no version" in title[1]

    def test_shows_every_time_that_a_version_became_current(self, root):
        first, _ = publish_one(root, 1), publish_one(root, 2)
        bundle_promotions.promote(root, first, at=AT + 60, by="forced")

        shown = page(root, first, SERVED)

        assert "22:13 UTC by fit\n" in shown
        assert "22:14 UTC by forced\n" in shown

    def test_says_which_models_cannot_be_used(self, root, tmp_path):
        of_other_features(tmp_path / "bundles", publish_one(root, 1, ("main",)), "main")

        models = page(root, None, SERVED).split("\n\n")[2].splitlines()

        assert models[1].endswith("not usable")
        assert models[2].split() == ["challenger", *["–"] * 4, "missing"]

    def test_says_where_a_report_would_lie(self, root):
        version = publish_one(root, 1)

        assert f"none (would lie in {root}/reports/{version})" in page(root, None, SERVED)

    def test_refuses_what_is_not_there(self, root):
        with pytest.raises(BundleMissing, match="recserve fit"):
            page(root, None, SERVED)
        kept = publish_one(root, 1, promote=False)
        with pytest.raises(BundleMissing, match=f"no bundle 'current' .* there are {kept}"):
            page(root, None, SERVED)
        with pytest.raises(BundleMissing, match=f"there are {kept}"):
            page(root, "20231114-00000000", SERVED)

    def test_refuses_a_report_that_it_cannot_read(self, root, report):
        folder = report(True)
        (folder / "report.json").write_text("{")
        publish_one(root, 1, report=folder)

        with pytest.raises(BundleDamaged, match=r"report\.json is not JSON"):
            page(root, None, SERVED)


class TestPromote:
    def test_serves_a_version_that_nothing_speaks_against(self, root):
        first, _ = publish_small(root, 1), publish_small(root, 2)

        assert promote(located(root), first, force=False, at=5.0) is None
        assert current_version(root) == first
        assert last_cause(root) == "operator"

    def test_needs_force_for_a_version_that_its_fit_kept_back(self, root, kept_back_report):
        served = publish_small(root, 1)
        kept = publish_small(root, 2, promote=False, report=kept_back_report)

        with pytest.raises(PromotionRefused) as refused:
            promote(located(root), kept, force=False, at=5.0)
        assert current_version(root) == served
        assert str(refused.value) == (
            f"{kept} is not promoted: its fit kept it back (NDCG@10 fell by 0.02)."
            f" `recserve versions promote {kept} --force` does"
        )

        assert "kept it back" in promote(located(root), kept, force=True, at=5.0)
        assert current_version(root) == kept
        assert last_cause(root) == "forced"

    @pytest.mark.parametrize("is_there", [False, True])
    def test_needs_force_for_a_version_that_replicas_would_not_take_up(
        self, root, tmp_path, is_there
    ):
        served = publish_small(root, 1)
        other = publish_small(root, 3, SERVED if is_there else ("main",), promote=False)
        if is_there:
            of_other_features(tmp_path / "bundles", other, "challenger")

        with pytest.raises(PromotionRefused, match=r"no model of challenger .* not take it up"):
            promote(located(root), other, force=False, at=5.0)
        assert current_version(root) == served

        assert "no model of challenger" in promote(located(root), other, force=True, at=5.0)
        assert current_version(root) == other
        assert last_cause(root) == "forced"

    def test_names_everything_that_speaks_against_a_version(self, root, kept_back_report):
        kept = publish_small(root, 2, ("main",), promote=False, report=kept_back_report)

        with pytest.raises(
            PromotionRefused, match=r"no model of challenger .*; its fit kept it back"
        ):
            promote(located(root), kept, force=False, at=5.0)

    def test_takes_a_version_that_has_models_of_all_that_is_served(self, root):
        publish_small(root, 1)
        other = publish_small(root, 3, ("main",), promote=False)

        assert promote(located(root, ("main",)), other, force=False, at=5.0) is None

    @pytest.mark.parametrize("force", [False, True])
    def test_refuses_a_version_that_is_not_there(self, root, force):
        version = publish_small(root, 1)

        with pytest.raises(BundleMissing, match=f"there are {version}"):
            promote(located(root), "20231114-00000000", force=force, at=5.0)

    def test_refuses_even_with_force_what_this_build_cannot_read(self, root, tmp_path):
        version = publish_small(root, 1, promote=False)
        of_another_format(tmp_path / "bundles", version)

        with pytest.raises(BundleDamaged, match="format is 1"):
            promote(located(root), version, force=True, at=5.0)

    @pytest.mark.parametrize("file", ["tables/popular_rows.npy", "models/main.ubj"])
    @pytest.mark.parametrize("harm", ["cut", "changed", "lost"])
    @pytest.mark.parametrize("force", [False, True])
    def test_refuses_even_with_force_what_no_replica_could_open(
        self, root, tmp_path, file, harm, force
    ):
        served = publish_small(root, 1)
        other = publish_small(root, 2, promote=False)
        spoil(tmp_path / "bundles" / other / file, harm)

        with pytest.raises(BundleDamaged, match=file.split(".")[0]):
            promote(located(root), other, force=force, at=5.0)
        assert current_version(root) == served

    def test_refuses_a_model_that_cannot_be_loaded_although_its_hash_is_right(self, root):
        served = publish_small(root, 1)
        contents = contents_of(2)
        models = {**contents.models, "main": replace(contents.models["main"], booster=b"none")}
        other = publish(root, replace(contents, models=models), created_at=1.0, promote=False)

        with pytest.raises(BundleDamaged, match=r"main\.ubj holds no model"):
            promote(located(root), other.version, force=True, at=5.0)
        assert current_version(root) == served

    def test_refuses_a_folder_under_another_name(self, root, tmp_path):
        served = publish_small(root, 1)
        copy = "20231114-00000000"
        shutil.copytree(tmp_path / "bundles" / served, tmp_path / "bundles" / copy)

        with pytest.raises(BundleDamaged, match=f"is that of {served}"):
            promote(located(root), copy, force=True, at=5.0)
        assert current_version(root) == served


class TestRollback:
    def test_passes_over_a_version_that_was_cut_off(self, tmp_path):
        root = str(tmp_path / "bundles")
        first, second, _ = (publish_small(root, number) for number in (1, 2, 3))
        spoil(tmp_path / "bundles" / second / "tables/popular_rows.npy", "cut")

        assert rollback(located(root), at=5.0) == first

    def test_refuses_a_version_whose_files_were_changed(self, root, tmp_path):
        first, second = publish_small(root, 1), publish_small(root, 2)
        spoil(tmp_path / "bundles" / first / "models/main.ubj", "changed")

        with pytest.raises(BundleDamaged, match=r"models/main\.ubj"):
            rollback(located(root), at=5.0)
        assert current_version(root) == second

    def test_rolls_back(self, root):
        first, _ = publish_small(root, 1), publish_small(root, 2)

        assert rollback(located(root), at=5.0) == first
        assert current_version(root) == first
        with pytest.raises(NothingServedBefore):
            rollback(located(root), at=5.0)

    def test_rolls_back_to_nothing_that_replicas_would_not_take_up(self, root):
        first, second = publish_small(root, 1, ("main",)), publish_small(root, 2)

        with pytest.raises(PromotionRefused, match=f"{first} is not promoted: .* of challenger"):
            rollback(located(root), at=5.0)

        assert current_version(root) == second


def said_features(table):
    """The number of features, which is the same in every row."""
    [number] = {line.split()[3] for line in table.splitlines()[1:]}
    return number
