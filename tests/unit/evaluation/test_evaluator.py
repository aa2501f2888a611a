"""Evaluations of a simulated files."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.evaluation import evaluator as evaluating
from serve_app.evaluation.evaluation_report import as_json, as_text
from serve_app.evaluation.evaluator import (
    FUSED,
    MAX_K,
    OURS,
    OURS_DIVERSE,
    Evaluation,
    EvaluationConfig,
    evaluate,
)
from serve_app.evaluation.rivals import RIVALS
from serve_app.evaluation.served import ServedConfig
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.recommending.scoring.model_features import SOURCES
from tests.support.few_examples import FEW_EXAMPLES

pytestmark = pytest.mark.whole_fit

QUICK = ServedConfig(
    fit=FitConfig(variants={"main": VariantConfig(n_models=1, n_trees=25)}, **FEW_EXAMPLES)
)
CONFIG = EvaluationConfig(ks=(5, 10), max_points=2, n_resamples=50, ours=QUICK)
NAMES = [*(rival.name for rival in RIVALS), FUSED, OURS, OURS_DIVERSE]


def demo_files(folder: Path) -> InputFiles:
    made = make_demo(
        DemoConfig(n_users=300, n_items=300, n_interactions=20_000, seed=5, n_days=180)
    )
    files = write_demo(made, folder)
    return InputFiles(files.items, files.users, files.interactions)


def ticks() -> Callable[[], float]:
    return partial(next, count(0.0, 1.0))


def run(files: InputFiles, config: EvaluationConfig = CONFIG) -> Evaluation:
    now_at = DemoConfig().end_at
    return evaluate(files, config, lambda step, share: None, now_at=now_at, clock=ticks())


@cache
def evaluation() -> Evaluation:
    with TemporaryDirectory() as folder:
        return run(demo_files(Path(folder)))


class TestEvaluation:
    def test_measures_every_model(self):
        assert list(evaluation().models) == NAMES
        for name, measures in evaluation().models.items():
            assert measures["ndcg@5"].low <= measures["ndcg@5"].mean, name
            assert 0 < measures["coverage@10"].mean <= 1, name

    def test_finds_more_than_chance_and_ours_more_than_popularity(self):
        models = evaluation().models

        assert models["popularity"]["recall@10"].mean > 10 / evaluation().split.training.n_items
        assert models[OURS]["ndcg@10"].mean > models["popularity"]["ndcg@10"].mean

    def test_compares_ours_with_every_other(self):
        compared = evaluation().comparisons

        assert set(compared) == {OURS, OURS_DIVERSE}
        assert set(compared[OURS]) == set(NAMES) - {OURS}
        models = evaluation().models
        difference = compared[OURS]["popularity"].difference["ndcg@5"].mean
        expected = models[OURS]["ndcg@5"].mean - models["popularity"]["ndcg@5"].mean
        assert difference == pytest.approx(expected)

    def test_names_the_best_rivals_in_hindsight(self):
        best, models = evaluation().best, evaluation().models
        library = [rival.name for rival in RIVALS if not rival.uses_time]

        assert best["library"] == max(library, key=lambda name: models[name]["ndcg@5"].mean)
        assert models[best["single"]]["ndcg@5"].mean >= models[best["library"]]["ndcg@5"].mean

    def test_tries_at_most_the_points_of_the_budget(self):
        for name, chosen in evaluation().parameters.items():
            assert name in (FUSED, OURS) or chosen["points"] <= 2

    def test_tunes_on_training_interactions_only(self):
        inner, split = evaluation().inner, evaluation().split

        assert inner.end_at < split.cut_at
        assert inner.cut_at < inner.end_at

    def test_gives_equal_figures_each_time(self, tmp_path):
        again = run(demo_files(tmp_path))

        assert as_json(again) == as_json(evaluation())

    def test_skips_a_rival_that_cannot_take_so_many_items(self, tmp_path, monkeypatch):
        ease = next(rival for rival in RIVALS if rival.name == "ease")
        small = type(ease)(ease.name, ease.uses_time, ease.grid, ease.fit, max_items=1)
        monkeypatch.setattr(evaluating, "RIVALS", (RIVALS[0], RIVALS[1], small))
        found = run(demo_files(tmp_path))

        assert "at most 1" in found.skipped["ease"]
        assert list(found.models) == [RIVALS[0].name, RIVALS[1].name, FUSED, OURS, OURS_DIVERSE]

    def test_goes_on_without_ours_if_there_is_too_little_to_fit(self, tmp_path):
        files = demo_files(tmp_path)
        ours = CONFIG.ours.model_copy(
            update={"fit": CONFIG.ours.fit.model_copy(update={"min_users": 10_000})}
        )
        found = run(files, CONFIG.model_copy(update={"ours": ours}))

        assert "at least 10000 are needed" in found.skipped[OURS]
        assert OURS not in found.models
        assert f"{OURS} is missing" in as_text(found)
        assert json.loads(as_json(found))["skipped"][OURS]

    def test_takes_further_models_and_keeps_the_lists_of_rivals(self, tmp_path):
        files, kept = demo_files(tmp_path), {}

        def backwards(files, split):
            return lambda users: np.tile(np.arange(split.training.n_items), (len(users), 1))

        def keep(name, make):
            kept.setdefault(name, make())
            return kept[name]

        def refuse(name, make):
            return kept[name]

        given = {"now_at": DemoConfig().end_at, "clock": ticks(), "further": {"last": backwards}}
        evaluate(files, CONFIG, lambda step, share: None, keep=keep, **given)
        again = evaluate(files, CONFIG, lambda step, share: None, keep=refuse, **given)

        assert again.models["last"]["ndcg@5"].mean < again.models["popularity"]["ndcg@5"].mean
        assert "last" in again.comparisons[OURS]
        assert "last" not in again.best.values()
        for name in kept:
            assert again.models[name] == evaluation().models[name]

    def test_measures_each_source_alone(self):
        assert set(evaluation().sources) == set(SOURCES)
        for each in evaluation().sources.values():
            assert each.low <= each.mean <= each.high


class TestReport:
    def test_json_has_protocol_models_and_seconds(self):
        document = json.loads(as_json(evaluation()))

        assert {"protocol", "models", "seconds"} <= document.keys()
        assert set(document["models"]["recserve"]["ndcg@10"]) == {"mean", "low", "high"}
        assert document["protocol"]["n_test_users"] == len(evaluation().split.users)
        assert document["seconds"]["total"] > 0

    def test_text_names_the_protocol_and_every_model(self):
        text = as_text(evaluation())

        for name in NAMES:
            assert f"\n{name}" in text
        assert "no sampled negatives" in text
        assert "best textbook model" in text
        assert "recall of its" in text

    def test_text_warns_of_bad_rows_and_bare_items(self):
        assert "left out" not in as_text(evaluation())

        lossy = replace(
            evaluation(),
            n_rejected={"items": 0, "interactions": 3},
            n_bare_items=2,
            notes=("interactions: not used: typ",),
        )

        assert "left out: 3 bad rows of interactions" in as_text(lossy)
        assert "2 items are known from interactions only" in as_text(lossy)
        assert "interactions: not used: typ" in as_text(lossy)


class TestOddShops:
    """Shops without prices, categories or an items file; with few items or interactions."""

    @staticmethod
    def write(folder: Path, n_items: int, per_user: int, **columns: object) -> InputFiles:
        rng = np.random.default_rng(4)
        n_users = 400
        taste = rng.integers(0, 4, n_users)
        users = np.repeat(np.arange(n_users), per_user)
        items = rng.integers(0, n_items // 4, len(users)) * 4 + taste[users]
        at = 1.6e9 + rng.random(len(users)) * 100 * 86_400
        frame = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": at, **columns})
        frame.to_csv(folder / "interactions.csv", index=False)
        return InputFiles(interactions=folder / "interactions.csv")

    @pytest.mark.parametrize("per_user", [2, 12])
    def test_purchases_of_a_small_catalogue(self, tmp_path, per_user):
        found = run(self.write(tmp_path, 40, per_user))

        assert found.models["ease"]["ndcg@5"].mean > found.models["popularity"]["ndcg@5"].mean

    @pytest.mark.parametrize("kind", ["rating", "view", "click"])
    def test_other_interactions_than_purchases(self, tmp_path, kind):
        found = run(self.write(tmp_path, 150, 20, type=kind, value=4.0))

        assert list(found.models) == NAMES
        assert found.models[OURS]["ndcg@10"].mean > found.models["popularity"]["ndcg@10"].mean
        assert json.loads(as_json(found))["protocol"]["hit"].startswith(kind)

    def test_lists_that_are_longer_than_the_catalogue_hold_all_of_it(self, tmp_path):
        files = self.write(tmp_path, n_items=80, per_user=12)

        found = run(files, CONFIG.model_copy(update={"ks": (5, MAX_K)}))

        assert found.models["popularity"][f"recall@{MAX_K}"].mean == 1
        assert found.models[OURS][f"coverage@{MAX_K}"].mean <= 1

    def test_a_liked_rating_follows_the_scale_of_the_files(self, tmp_path):
        value = np.random.default_rng(1).integers(1, 11, 400 * 12)
        files = self.write(tmp_path, n_items=80, per_user=12, type="rating", value=value)
        config = CONFIG.model_copy(update={"reading": LoadConfig(max_rating=10)})

        found = run(files, config)

        assert found.split.label.min_rating == found.inner.label.min_rating == 8
        assert "rating of at least 8" in as_text(found)


def test_refuses_lists_that_would_not_fit_into_memory():
    with pytest.raises(ValidationError, match="less than or equal to 1000"):
        EvaluationConfig(ks=(1, 1_000_000))
