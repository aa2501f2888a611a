"""The quality benchmark: goals, the page, kept results and the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.home import ROOT
from benchmarks.quality import quality_command
from benchmarks.quality.funnel_run import FUNNEL
from benchmarks.quality.goals import goals_of
from benchmarks.quality.kept_results import keep_in, key_of, load_or_make
from benchmarks.quality.next_runs import DEMO_NEXT, ESHOP_NEXT, NEXT_RUNS, RETAIL_NEXT
from benchmarks.quality.quality_page import sections
from benchmarks.quality.quality_plot import bars_of, plot_quality
from benchmarks.quality.runs import (
    ALL_SOURCES,
    DEMO_RUN,
    RETAIL_RUNS,
    RUNS,
    SOURCES_RUN,
    files_of_rivals,
)
from serve_app.evaluation.rivals import RivalLists
from serve_app.recommending.scoring.model_features import SOURCES
from tests.unit.benchmarks.test_few_run import results as few_document
from tests.unit.benchmarks.test_funnel import document as funnel_document

pytestmark = pytest.mark.draws_plots

RIVALS = {"popularity": 0.05, "ease": 0.1, "ease_time": 0.15, "rrf": 0.14}


def figure(mean, width=0.01):
    return {"mean": mean, "low": mean - width, "high": mean + width}


def document(ours, **further):
    """A short document of an evaluation."""
    means = {**RIVALS, "recserve": ours, "recserve_diverse": ours - 0.01, **further}
    names = ("recall@20", "coverage@20", "mrr@10", "hit_rate@10")
    models = {
        name: {"ndcg@10": figure(mean), **{each: figure(mean) for each in names}}
        for name, mean in means.items()
    }
    models["recserve"]["candidate_recall"] = figure(0.62)
    return {
        "protocol": {
            "cut_at": "2011-11-02T13:13:00+00:00",
            **dict.fromkeys(("n_test_users", "n_wanted", "n_items", "n_interactions"), 1_000),
            "test_share": 0.2,
            "ranking": "full catalogue",
            "min_buyers": 5,
            "tuning": {"max_points": 60},
        },
        "models": models,
        "best": {"library": "ease", "single": "ease_time"},
        "comparisons": {
            own: {
                other: {"ratio": {"ndcg@10": figure(means[own] / mean, 0.05)}}
                for other, mean in means.items()
                if other != own
            }
            for own in ("recserve", "recserve_diverse")
        },
        "sources": {source: figure(0.1) for source in SOURCES},
        "parameters": {"recserve": {"candidates": 300.0}},
        "skipped": {"als": "too large"},
        "seconds": {"ease": 3.0, "recserve fit": 99.0, "total": 120.0},
    }


def of_sources():
    rng = np.random.default_rng(0)
    each = {
        "ndcg": rng.random(30).tolist(),
        "recall": 0.5,
        "alone": {source: rng.random(30).tolist() for source in SOURCES},
        "seconds": 1.0,
    }
    return {ALL_SOURCES: each, **{source: each for source in SOURCES if source != "popular"}}


def next_document(ours=0.4, of_others=0.3):
    """A short document of an evaluation of next items."""
    groups = ("all", "known 1+", "known 0", "known 1", "known 2-3", "known 4-9")
    measures = ("hit_rate@20", "mrr@20", "ndcg@20")
    means = {"popularity": 0.1, "markov": of_others, "recserve": ours, "recserve_diverse": ours}
    of_group = {
        name: {measure: figure(mean) for measure in measures} for name, mean in means.items()
    }
    ratios = {"ratio": {measure: figure(ours / of_others) for measure in measures}}
    compared = {name: {"markov": ratios} for name in ("recserve", "recserve_diverse")}
    return {
        "protocol": {
            "cut_at": "2008-05-17T00:00:01+00:00",
            "hit": "click",
            "questions": "at each moment",
            **dict.fromkeys(("n_test_sessions", "n_questions", "n_items", "n_interactions"), 1_000),
        },
        "questions": dict.fromkeys(groups, 100),
        "models": dict.fromkeys(groups, of_group),
        "best": dict.fromkeys(groups, dict.fromkeys(measures, "markov")),
        "comparisons": dict.fromkeys(groups, compared),
        "skipped": {"ease": "too large"},
        "seconds": {"markov": 3.0, "total": 5.0},
    }


def all_runs(ours=0.21):
    return {
        **{name: document(ours) for name in RETAIL_RUNS},
        DEMO_RUN: document(0.21, oracle=0.25, oracle_without_tastes=0.23),
        SOURCES_RUN: of_sources(),
        **{name: next_document() for name in NEXT_RUNS},
        FUNNEL: funnel_document(),
        **few_document(0.4),
    }


class TestGoals:
    def test_are_met_by_good_lists(self):
        assert [goal.is_met for goal in goals_of(all_runs())] == [True] * 11

    def test_are_missed_by_hardly_better_lists(self):
        met = {goal.text: goal.is_met for goal in goals_of(all_runs(0.16))}

        assert sum(value is False for value in met.values()) == 3
        assert met["Demo shop: at least .80 of the oracle's NDCG@10"]

    def test_of_next_items_look_at_both_measures_and_every_group(self):
        runs = all_runs()
        runs[ESHOP_NEXT] = next_document(0.31)
        runs[DEMO_NEXT] = next_document(0.29)
        missed = {goal.text: goal.figure for goal in goals_of(runs) if not goal.is_met}

        assert [*missed.values()] == [
            "hit_rate@20 1.03, mrr@20 1.03",
            "least 0.97 (next-demo, known 0)",
        ]

    def test_of_next_items_leave_out_small_groups(self):
        runs = all_runs()
        runs[DEMO_NEXT] = next_document(0.29) | {"questions": {"all": 500, "known 0": 29}}
        met = {goal.text: goal.is_met for goal in goals_of(runs)}
        assert set(met.values()) == {True}

        runs[RETAIL_NEXT] = runs[DEMO_NEXT]
        [open_goal] = [goal for goal in goals_of(runs) if not goal.is_met]
        assert open_goal.figure == "no group has 30 questions"

    def test_include_a_lower_bound(self):
        runs = all_runs()
        ratio = runs[RETAIL_RUNS[0]]["comparisons"]["recserve"]["ease_time"]["ratio"]
        ratio["ndcg@10"]["low"] = 1.09

        assert goals_of(runs)[1].is_met is False

    def test_are_open_if_nothing_was_measured(self):
        assert {goal.is_met for goal in goals_of({})} == {None}

    def test_are_missed_if_ours_could_not_be_fitted(self):
        runs = all_runs()
        for name in ("recserve", "recserve_diverse"):
            for run in NEXT_RUNS:
                for compared in runs[run]["comparisons"].values():
                    compared.pop(name, None)
            runs[FUNNEL] = funnel_document(without={})
            runs |= few_document(0.0)
            for run in (*RETAIL_RUNS, DEMO_RUN):
                del runs[run]["models"][name]
                runs[run]["comparisons"].pop(name)
                runs[run]["seconds"].pop("recserve fit", None)

        assert {goal.is_met for goal in goals_of(runs)} == {False}


class TestReport:
    def test_names_every_run_and_every_model(self):
        text = "\n\n".join(map(str, sections(all_runs(), goals_of(all_runs()))))

        assert "| Every fit within 180 s | 99 s | met |" in text
        assert "## Online Retail, window 56 days earlier" in text
        assert "## Online Retail over three cuts" in text
        assert "`recserve` / `oracle`: 0.84 (0.79–0.89)" in text
        assert "`recserve` / `oracle_without_tastes`: 0.91 (0.86–0.96)" in text
        assert "`als` is missing: too large" in text
        assert "## Next clicks of anonymous visitors" in text
        assert "| `recserve` / best single | 1.33 (1.32–1.34) |" in text
        assert "`ease` is missing: too large" in text
        assert text.count("| `ease_time` |") == 5
        for source in SOURCES:
            assert f"| {source} |" in text

    def test_a_source_without_effect_has_a_change_of_zero(self):
        [*_, last] = sections({SOURCES_RUN: of_sources()}, [])

        assert "0.0000 (0.0000–0.0000)" in str(last)

    def test_draws_a_bar_for_each_main_model(self, tmp_path):
        pytest.importorskip("matplotlib")
        assert not plot_quality({FUNNEL: funnel_document()}, tmp_path / "plots/quality.png")

        assert [label for label, _ in bars_of(document(0.2))][-1] == "recserve, diverse"
        assert plot_quality(all_runs(), tmp_path / "plots/quality.png")
        assert (tmp_path / "plots/quality.png").stat().st_size > 10_000


class TestKept:
    def test_is_made_once_and_again_when_its_key_changes(self, tmp_path):
        made = []

        def make():
            made.append(len(made))
            return {"turn": len(made)}

        assert [load_or_make(tmp_path, "run", key, make)["turn"] for key in "aab"] == [1, 1, 2]

    def test_a_run_that_breaks_leaves_nothing(self, tmp_path):
        with pytest.raises(ZeroDivisionError):
            load_or_make(tmp_path, "run", "a", lambda: {"turn": 1 / 0})

        assert load_or_make(tmp_path, "run", "a", lambda: {"turn": 2}) == {"turn": 2}

    @pytest.mark.parametrize("inner", [None, np.ones((2, 3), np.int32)])
    def test_lists_are_kept_without_loss(self, tmp_path, inner):
        lists = np.arange(6, dtype=np.int32).reshape(2, 3)
        baseline = RivalLists(lists, inner, {"k": 3, "inner_ndcg@10": None}, 1.5)
        keep = keep_in(tmp_path, "key")

        keep("als", lambda: baseline)
        found = keep("als", lambda: pytest.fail("made twice"))

        np.testing.assert_array_equal(found.lists, lists)
        assert (found.inner_lists is None) == (inner is None)
        assert (found.parameters, found.seconds) == ({"k": 3, "inner_ndcg@10": None}, 1.5)

    def test_lists_of_rivals_depend_on_the_code_that_makes_them(self):
        found = {str(file.relative_to(ROOT / "serve_app")) for file in files_of_rivals()}

        evaluation = ("evaluator", "best_lists", "rivals", "training_matrix", "protocol")
        assert found >= {
            *(f"evaluation/{name}.py" for name in evaluation),
            *(f"fitting/data/{name}.py" for name in ("labels", "pairs", "windows")),
            *(f"loading/{name}.py" for name in ("in_memory", "rows")),
            "arrays/ragged.py",
            "domain/interactions.py",
            "evaluation/baselines/ease.py",
            "measuring/metrics.py",
        }

    def test_lists_of_rivals_do_not_depend_on_the_code_of_ours(self):
        found = {file.name for file in files_of_rivals()}

        assert not found & {"served.py", "boosting.py", "finding.py", "ranking.py"}

    def test_keys_depend_on_where_a_part_ends(self):
        assert key_of("ab", "c") != key_of("a", "bc")


class TestCommand:
    @staticmethod
    def start(monkeypatch, *arguments):
        monkeypatch.setattr(quality_command, "run", lambda name, plan, progress: all_runs()[name])
        return CliRunner().invoke(quality_command.main, arguments)

    def test_writes_the_page_and_json(self, monkeypatch, tmp_path):
        table = tmp_path / "source.parquet"
        table.touch()
        sources = ("--retail", str(table), "--eshop", str(table))
        result = self.start(monkeypatch, *sources, "--out", str(tmp_path / "QUALITY.md"))

        assert result.exit_code == 0
        written = json.loads((tmp_path / "QUALITY.json").read_text("utf-8"))
        assert set(written["runs"]) == set(RUNS)
        assert [goal["is_met"] for goal in written["goals"]] == [True] * 11
        assert (tmp_path / "QUALITY.md").read_text("utf-8") in result.output

    def test_leaves_out_published_shops_without_their_tables(self, monkeypatch, tmp_path):
        monkeypatch.setattr(quality_command, "RETAIL", tmp_path / "none.parquet")
        monkeypatch.setattr(quality_command, "ESHOP", tmp_path / "none.parquet")
        result = self.start(monkeypatch, "--out", str(tmp_path / "QUALITY.md"))

        assert "Online Retail is left out: its table was not found" in result.output
        assert "The shop of clicks is left out: its file was not found" in result.output
        assert "## Demo shop" in result.output
        assert "## Next purchases of the demo shop" in result.output
        assert "## Online Retail" not in result.output
        assert "## Next clicks" not in result.output

    def test_a_single_run_is_printed_and_not_written(self, monkeypatch, tmp_path):
        monkeypatch.setattr(quality_command, "RESULTS", tmp_path / "QUALITY.md")
        result = self.start(monkeypatch, "--only", DEMO_RUN)

        assert result.exit_code == 0
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("option", "run"),
        [
            ("--retail", RETAIL_RUNS[0]),
            ("--retail", RETAIL_NEXT),
            ("--eshop", ESHOP_NEXT),
        ],
    )
    def test_a_missing_table_ends_in_one_sentence(self, tmp_path, option, run):
        arguments = [option, str(tmp_path / "none.parquet"), "--only", run]
        result = CliRunner().invoke(quality_command.main, [*arguments, "--work", str(tmp_path)])

        assert result.exit_code == 1
        assert "there is no such file" in result.output
