import json
import re
import sys
from dataclasses import replace
from functools import cache
from html import unescape
from itertools import groupby

import matplotlib
import numpy as np
import pytest

from serve_app.arrays.columns import MISSING, Texts
from serve_app.bundles.manifest import FileManifest, Manifest, ModelManifest
from serve_app.bundles.version_reports import StoredVerdict
from serve_app.fitting.judging.gate import GateConfig, judge
from serve_app.fitting.judging.leaks import LeakConfig, find_leaks
from serve_app.fitting.judging.measuring_window import Contest
from serve_app.fitting.judging.untried_items import UntriedItems
from serve_app.fitting.judging.window_results import mean_metrics, ndcg_by_order
from serve_app.fitting.report.document import as_html, as_markdown
from serve_app.fitting.report.drawing import use_style
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import N_GAINS, compute_figures
from serve_app.fitting.report.plots import PLOTS
from serve_app.fitting.report.sections import write_document
from serve_app.fitting.report.writing import write_report
from serve_app.recommending.scoring.model_features import FEATURES, SOURCES
from tests.support.hand_made_logs import demo_shop
from tests.support.measured_windows import items_at, likely, measured_at, split

pytestmark = pytest.mark.draws_plots

HOSTILE = "<script>alert(1)</script> | *bold* `code` [a](b) & 50's"

ALONE = Contest({"main": likely}, ("main",))


@cache
def facts() -> Facts:
    items, _, log = demo_shop()
    at = split()
    later = measured_at(at.evaluate_at, at.end_at, ALONE)
    learnt = measured_at(at.train_at, at.evaluate_at, ALONE)
    learnt_ndcg, later_ndcg = (
        {name: ndcg_by_order(results, 10)[name] for name in SOURCES} for results in (learnt, later)
    )
    leaks = find_leaks(learnt_ndcg, later_ndcg, LeakConfig(), 200, 7)
    facts_of_items = items_at(at.evaluate_at)
    hostile = Texts.of([HOSTILE] * len(facts_of_items.listed))
    return Facts(
        results=later,
        items=replace(facts_of_items, titles=hostile),
        verdict=judge(later, "main", GateConfig(n_resamples=200), 7, leaks=leaks),
        leaks=leaks,
        untried=UntriedItems(512, 0.25, 0.125),
        first_at=float(log.at.min()),
        split=at,
        counted="purchase",
        n_users=len(log.user_ids),
        n_items=len(items),
        n_interactions=len(log),
        tuned={"votes_half_life_days": 7.0},
        gains={"main": {name: float(i) for i, name in enumerate(FEATURES)}},
        previous=None,
        n_resamples=200,
        seed=7,
    )


def manifest(**metrics) -> Manifest:
    return Manifest(
        version="20260101-0123abcd",
        created_at=1.0,
        until_at=1.0,
        horizon_s=1.0,
        measured_from_at=1.0,
        n_users=100,
        n_items=400,
        n_interactions=5_000,
        files={"models/main.ubj": FileManifest(sha256="", size=0)},
        columns={},
        models={
            "main": ModelManifest(
                file="models/main.ubj",
                features=(),
                fingerprint="",
                objective="",
                n_trees=1,
                metrics=metrics,
            )
        },
        metrics={"fused": {"ndcg_at_10": 0.1}, "tuning": {"votes_half_life_days": 30.0}},
    )


def written(folder, these=None):
    folder.mkdir(exist_ok=True)
    write_report(these or facts(), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def page(these):
    return write_document(these, compute_figures(these), frozenset(PLOTS))


def text(these):
    return narrow(as_markdown(page(these)))


def narrow(markdown):
    """Without the padding of the cells."""
    return re.sub(" +", " ", markdown)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return written(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def html(report):
    return report["report.html"].decode()


@pytest.fixture(scope="module")
def markdown(report):
    return narrow(report["report.md"].decode())


def test_the_bars_of_a_markdown_table_stand_below_each_other(report):
    lines = report["report.md"].decode().splitlines()
    tables = [
        list(part) for is_row, part in groupby(lines, lambda line: line.startswith("|")) if is_row
    ]

    assert tables
    for table in tables:
        bars = [
            [i for i, character in enumerate(line.replace(r"\|", "__")) if character == "|"]
            for line in table
        ]
        assert all(places == bars[0] for places in bars)


class TestFiles:
    def test_the_same_facts_give_the_same_bytes_whatever_the_machine_is_set_to(
        self, report, tmp_path
    ):
        with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None, "savefig.dpi": 30}):
            again = written(tmp_path / "again")

        assert again == report

    def test_without_matplotlib_it_has_no_plots_and_says_how_to_get_them(
        self, report, monkeypatch, tmp_path
    ):
        monkeypatch.setitem(sys.modules, "matplotlib", None)

        plain = written(tmp_path / "plain")

        assert set(plain) == {"report.md", "report.html", "report.json"}
        assert plain["report.json"] == report["report.json"]
        for name in ("report.md", "report.html"):
            words = unescape(plain[name].decode().replace("\\", ""))
            assert "Run pip install 'recserve[report]' and fit again" in words
            assert b"is not installed" not in report[name]

    def test_every_picture_of_the_markdown_is_there(self, report, markdown):
        pictures = re.findall(r"\]\((\w+\.png)\)", markdown)

        assert set(pictures) == {name for name in report if name.endswith(".png")}
        assert set(pictures) == {f"{name}.png" for name in PLOTS}

    def test_the_page_needs_no_other_file(self, html):
        assert not re.search(r"<(?:link|script|img|iframe)|@import|\ssrc=|url\((?!#)", html)
        assert not re.search(r'href="(?!#)', html)
        assert html.count("<svg") == len(PLOTS)

    def test_ids_of_all_drawings_are_apart_and_lead_somewhere(self, html):
        ids = re.findall(r'\bid="([^"]+)"', html)
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)

        assert len(ids) == len(set(ids))
        assert {a or b for a, b in used} <= set(ids)

    def test_the_page_is_read_by_day_and_by_night_on_a_phone(self, html):
        assert "prefers-color-scheme: dark" in html
        assert 'name="viewport"' in html
        assert "currentColor" in html
        assert "#24292f" not in html.split("</style>", 1)[1]

    def test_tells_no_time_of_the_clock(self, html, markdown):
        text = re.sub(r"<style.*?</style>", "", html, flags=re.S)

        assert not re.search(r"\d\d:\d\d", text + markdown)
        assert "2026" in markdown

    def test_titles_are_text_and_nothing_else(self, html, markdown):
        assert "<script" not in html + markdown
        assert "&lt;script&gt;" in html
        line, *_ = [line for line in markdown.splitlines() if "alert" in line]
        cells = re.split(r"(?<!\\)\|", line)
        assert len(cells) == 5
        assert r"\*bold\* \`code\` \[a\](b) &amp;" in cells[1]

    def test_json_holds_the_verdict_and_every_figure(self, report):
        found = json.loads(report["report.json"])
        verdict = facts().verdict

        assert StoredVerdict.model_validate(found["verdict"]) == StoredVerdict(
            promoted=verdict.promoted, reason=verdict.reason
        )
        assert len(found["verdict"]["judgements"]) == len(verdict.judgements)
        assert found["orders"]["main"]["ndcg_at_10"].keys() == {"mean", "low", "high"}
        assert found["orders"].keys() == set(facts().results.names)
        assert len(found["leaks"]) == len(SOURCES)
        assert found["data"]["n_test_users"] == len(facts().results)


class TestLabel:
    def test_names_the_interaction_that_counts(self):
        told = text(replace(facts(), counted="click"))

        assert "the counted interaction (click)" in told

    def test_speaks_of_purchases_only_where_it_names_the_label(self, report):
        for name in ("report.html", "report.md", "report.json"):
            words = report[name].decode().replace("(purchase)", "")
            assert not re.search(r"\b(bought|buy|purchases?)\b", words), name


def test_says_how_much_of_the_lists_no_figure_covers(markdown, report):
    assert "to 512 users, 12.5% hold an item without any interaction, and so have 25.0%" in markdown
    data = json.loads(report["report.json"])["data"]
    assert data["untried"] == {"n_users": 512, "listed": 0.25, "recommended": 0.125}


class TestVerdict:
    @pytest.mark.parametrize("promoted", [True, False])
    def test_the_verdict_comes_first(self, promoted):
        these = replace(
            facts(), verdict=replace(facts().verdict, promoted=promoted, reason="of this")
        )

        headline = "Promoted" if promoted else "Kept back"
        lines = text(these).splitlines()
        assert lines[2:5] == [f"**{headline}**", "", "Because of this."]
        html = as_html(page(these), dict.fromkeys(PLOTS, ""))
        assert f'<div class="verdict {"good" if promoted else "bad"}">' in html

    def test_says_what_was_not_compared(self, markdown):
        assert "| served | not worse | not compared | – | – |" in markdown
        assert r"Not compared with served: no model is served." in markdown

    def test_names_a_suspicious_source(self):
        leaks = (replace(facts().leaks[0], suspicious=True), *facts().leaks[1:])

        lines = text(replace(facts(), leaks=leaks)).splitlines()

        [line] = [line for line in lines if line.endswith("| suspicious |")]
        assert line.startswith(r"| similar\_users |")


class TestLastBundle:
    def test_says_that_there_is_none(self, markdown):
        assert "There is no bundle to compare with." in markdown

    def test_compares_what_both_measured(self):
        now = mean_metrics(facts().results, int(facts().items.listed.sum()))
        these = replace(facts(), previous=manifest(ndcg_at_10=0.05, novelty=3.0))

        changes = compute_figures(these).changes

        assert changes.keys() == {
            ("", "users"),
            ("", "items"),
            ("", "interactions"),
            ("main", "ndcg_at_10"),
            ("fused", "ndcg_at_10"),
        }
        assert changes["main", "ndcg_at_10"].before == 0.05
        assert changes["main", "ndcg_at_10"].after == now["main"]["ndcg_at_10"]

    def test_tells_changes_and_what_was_tuned_before(self):
        told = text(replace(facts(), previous=manifest(ndcg_at_10=0.05)))

        n_users = facts().n_users
        assert f"| users | 100 | {n_users} | {n_users / 100 - 1:+.1%} |" in told
        assert r"| votes\_half\_life\_days | 30 | 7 |" in told


class TestFigures:
    def test_groups_of_users_hold_everybody_once(self):
        figures = compute_figures(facts())

        assert sum(each.n_users for each in figures.activity) == len(facts().results)
        together = sum(each.ndcg["main"].mean * each.n_users for each in figures.activity)
        assert together / len(facts().results) == pytest.approx(
            figures.orders["main"]["ndcg_at_10"].mean
        )

    def test_ages_hold_every_item_place_and_purchase_once(self):
        ages = compute_figures(facts()).ages

        assert sum(each.recommended for each in ages) == pytest.approx(1)
        assert sum(each.wanted for each in ages) == pytest.approx(1)

    def test_recall_of_an_age_counts_the_bought_items_of_that_age(self):
        facts_ = facts()
        measured = facts_.results
        young = facts_.items.age_days < 90
        hits = measured.hits_of("main")[:, :10]
        found = young[measured.lists_of("main")[:, :10][hits]].sum()
        groups = [each for each in compute_figures(facts_).ages if each.label in _YOUNG]

        expected = found / young[measured.relevant].sum()

        weights = [each.wanted for each in groups]
        recalls = [each.recall["main"].mean for each in groups]
        assert np.average(recalls, weights=weights) == pytest.approx(expected)

    def test_items_of_unknown_age_are_a_group_of_their_own(self):
        unknown = replace(facts().items, age_days=np.full_like(facts().items.age_days, np.nan))

        [group] = compute_figures(replace(facts(), items=unknown)).ages

        assert group.label == "unknown"
        assert group.recommended == group.wanted == group.listed == 1

    def test_hits_that_a_source_alone_offered_are_among_its_hits(self):
        for each in compute_figures(facts()).sources:
            assert each.alone <= each.hit <= 1

    def test_gains_are_the_largest_as_shares(self):
        gains = compute_figures(facts()).gains["main"]

        assert len(gains) == N_GAINS
        assert next(iter(gains)) == FEATURES[-1]
        total = len(FEATURES) * (len(FEATURES) - 1) / 2
        assert gains[FEATURES[-1]] == pytest.approx((len(FEATURES) - 1) / total)

    def test_the_most_recommended_items_stand_in_most_lists(self):
        first, *others = compute_figures(facts()).recommended
        lists = facts().results.lists_of("main")[:, :10]
        counts = np.bincount(lists[lists != MISSING])

        assert first.n_lists == counts.max()
        assert all(first.n_lists >= each.n_lists >= each.n_hits for each in others)

    def test_intervals_of_a_single_user_have_no_width(self):
        measured = facts().results
        one = replace(
            measured,
            lists=measured.lists[:, :1],
            hits=measured.hits[:, :1],
            n_past=measured.n_past[:1],
            relevant=measured.relevant[: measured.offsets[1]],
            offsets=measured.offsets[:2],
            n_found=measured.n_found[:1],
            offered=measured.offered[:1],
        )
        these = replace(facts(), results=one)

        figures = compute_figures(these)

        assert figures.orders["main"]["ndcg_at_10"].low == figures.orders["main"]["ndcg_at_10"].high
        with use_style():
            assert all(plot(these, figures) is not None for plot in PLOTS.values())


_YOUNG = {"under a week", "under a month", "1–3 months"}


class TestPlots:
    @pytest.mark.parametrize("name", PLOTS)
    def test_says_what_its_axes_are(self, name):
        with use_style():
            drawn = PLOTS[name](facts(), compute_figures(facts()))

        [axes] = drawn.axes
        assert drawn.get_suptitle()
        assert axes.get_xlabel()
        assert axes.get_ylabel() or all(each.get_text() for each in axes.get_yticklabels())

    @pytest.mark.parametrize(
        ("name", "without"),
        [
            ("gains", {"gains": {}}),
            ("leaks", {"leaks": ()}),
            ("calibration", {"results": "calibrated"}),
            ("calibration", {"results": "observed"}),
            ("ratios", {"verdict": "judgements"}),
        ],
    )
    def test_is_left_out_where_there_is_nothing_to_draw(self, name, without):
        changed = {
            field: replace(getattr(facts(), field), **_EMPTY[value])
            if isinstance(value, str)
            else value
            for field, value in without.items()
        }
        these = replace(facts(), **changed)

        assert PLOTS[name](these, compute_figures(these)) is None
        drawn = frozenset(PLOTS) - {name}
        told = as_markdown(write_document(these, compute_figures(these), drawn))
        assert set(re.findall(r"\((\w+)\.png\)", told)) == drawn

    def test_draws_a_line_for_every_calibrated_variant(self):
        figures = compute_figures(facts())
        [bins] = figures.calibration.values()
        names = ["main", "second", "third", "fourth"]

        with use_style():
            drawn = PLOTS["calibration"](
                facts(), replace(figures, calibration=dict.fromkeys(names, bins))
            )

        assert drawn.axes[0].get_legend_handles_labels()[1] == [*names, "perfect"]


_EMPTY = {
    "calibrated": {"calibrated": (), "calibration": np.zeros((0, 16, 3))},
    # Candidates were predicted, but users wanted none of them.
    "observed": {"calibration": np.ones((1, 16, 3)) * (0.1, 0.0, 1.0)},
    "judgements": {"judgements": ()},
}
