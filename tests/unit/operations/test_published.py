"""Pages on what is published, under both kinds of roots, with real files."""

import json
from dataclasses import replace

import pytest

from serve_app.bundles.promotions import promote
from serve_app.bundles.publishing import publish
from serve_app.errors import BundleDamaged, BundleMissing
from serve_app.operations.published import listing, page
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
    models = {name: replace(each, metrics=measures) for name, each in contents.models.items()}
    models["main"] = replace(models["main"], held_out=b"earlier")
    lists = {"popular": {"ndcg_at_10": 0.125, "recall_at_10": 0.2}, "tuning": {"half_life": 30.0}}
    return publish(
        root, replace(contents, models=models, metrics=lists), created_at=AT, **options
    ).version


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
        assert footer == f"* is served; `recserve models rollback` would serve {first}"

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
            "current names no version: `recserve models promote` writes it anew"
        )

    def test_says_so_when_nothing_is_published(self, root):
        assert listing(root) == f"nothing is published under {root}: `recserve fit` does"


class TestPage:
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
            ["main", "0.25", "0.5"],
            ["challenger", "0.25", "0.5"],
            ["popular", "0.125", "0.2"],
        ]
        assert [line.split() for line in tuned.splitlines()] == [["half_life"], ["tuning", "30"]]

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
        promote(root, first, at=AT + 60, by="forced")

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


def said_features(table):
    """The number of features, which is the same in every row."""
    [number] = {line.split()[3] for line in table.splitlines()[1:]}
    return number
