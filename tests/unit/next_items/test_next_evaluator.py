"""Evaluations of a simulated shop of anonymous visitors."""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.errors import NotEnoughData
from serve_app.evaluation.evaluator import OURS, OURS_DIVERSE, EvaluationConfig, evaluate
from serve_app.evaluation.served import ServedConfig
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.loading.load import InputFiles
from serve_app.next_items.next_evaluator import NextConfig, NextEvaluation, evaluate_next
from serve_app.next_items.next_lists import NEXT_RIVALS
from serve_app.next_items.next_protocol import NextProtocolConfig
from serve_app.next_items.next_report import best_rivals, next_json, next_text
from serve_app.next_items.next_training import NextRival
from tests.support.few_examples import FEW_EXAMPLES

pytestmark = pytest.mark.whole_fit

QUICK = ServedConfig(
    fit=FitConfig(variants={"main": VariantConfig(n_models=1, n_trees=25)}, **FEW_EXAMPLES)
)
CONFIG = NextConfig(ks=(5, 10), max_points=2, n_resamples=50, ours=QUICK)
NAMES = [*(rival.name for rival in NEXT_RIVALS), OURS, OURS_DIVERSE]
N_SESSIONS, N_ITEMS = 500, 40
NOW_AT = 1.8e9
START_AT = 1.7e9
SESSION_S = 3_600.0


def interactions(n_sessions: int = N_SESSIONS) -> pd.DataFrame:
    """Sessions of two to eight clicks, each on an item close behind the one before it."""
    rng = np.random.default_rng(11)
    rows = []
    for session in range(n_sessions):
        item = int(rng.integers(N_ITEMS))
        for step in range(int(rng.integers(2, 9))):
            at = START_AT + session * SESSION_S + step * 10
            rows.append(
                (f"s{session:04}", f"i{item}", "click", pd.Timestamp(at, unit="s", tz="UTC"))
            )
            item = (item + int(rng.choice([0, 1, 1, 2, 7]))) % N_ITEMS
    return pd.DataFrame(rows, columns=["user_id", "item_id", "type", "timestamp"])


def ticks() -> Callable[[], float]:
    return partial(next, count(0.0, 1.0))


def run(
    frame: pd.DataFrame, config: NextConfig = CONFIG, rivals: Sequence[NextRival] = NEXT_RIVALS
) -> NextEvaluation:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "interactions.parquet"
        frame.to_parquet(file)
        files = InputFiles(None, None, file)
        return evaluate_next(
            files, config, lambda *_: None, now_at=NOW_AT, clock=ticks(), rivals=rivals
        )


@cache
def evaluation() -> NextEvaluation:
    return run(interactions())


class TestEvaluation:
    def test_measures_every_model_in_every_group(self):
        models = evaluation().measured.models

        assert evaluation().skipped == {}
        assert {"all", "known 1+", "known 0", "known 1", "known 2-3", "known 4-9"} == models.keys()
        for group, of_group in models.items():
            assert list(of_group) == NAMES, group
            for name, measures in of_group.items():
                assert measures["mrr@10"].low <= measures["mrr@10"].mean <= 1, (group, name)

    def test_finds_next_items_by_transitions_and_not_by_popularity(self):
        models = evaluation().measured.models["known 1+"]

        assert models["markov"]["hit_rate@5"].mean > 0.7
        assert models["popularity"]["hit_rate@5"].mean < 0.3

    def test_compares_ours_with_every_other(self):
        compared = evaluation().measured.comparisons["all"]

        assert set(compared) == {OURS, OURS_DIVERSE}
        assert set(compared[OURS]) == {*NAMES} - {OURS}

    def test_states_durations_and_chosen_points(self):
        assert {*NAMES[:-2], "recserve fit", "recserve answers"} < evaluation().seconds.keys()
        assert evaluation().parameters["markov"]["points"] == 2
        assert evaluation().inner.cut_at < evaluation().split.cut_at

    def test_what_follows_on_a_question_changes_no_list(self):
        frame = interactions()
        half_at = float(np.median(evaluation().split.questions.at))
        later = frame["timestamp"] > pd.Timestamp(half_at, unit="s", tz="UTC")
        frame.loc[later, "item_id"] = np.random.default_rng(2).permutation(frame["item_id"][later])
        changed = run(frame)
        n = int((evaluation().split.questions.at <= half_at).sum())

        assert n > 100
        for name in NAMES:
            one, another = evaluation().lists[name], changed.lists[name]
            np.testing.assert_array_equal(one[:n], another[:n], err_msg=name)
            # The shop has one category: popularities are the same for all questions.
            assert "popularity" in name or not np.array_equal(one[n:], another[n:]), name

    def test_lists_new_items_only_if_these_are_asked_for(self):
        new = NextProtocolConfig(label=CONFIG.protocol.label.model_copy(update={"repeats": False}))
        found = run(interactions(), CONFIG.model_copy(update={"protocol": new}))
        questions, log = found.split.questions, found.split.log

        for name in NAMES:
            for i in range(0, len(questions), 7):
                known = log.items[questions.user_starts[i] : questions.ends[i]]
                assert not {*known.tolist()} & {*found.lists[name][i].tolist()}, name

    def test_lists_are_full_where_items_that_were_taken_back_are_not_new(self):
        new = NextProtocolConfig(label=CONFIG.protocol.label.model_copy(update={"repeats": False}))
        frame = interactions()
        back = frame.groupby("user_id").head(2).assign(type="return")
        back["timestamp"] += pd.Timedelta(seconds=1)
        bought = pd.concat([frame.assign(type="purchase"), back])
        config = CONFIG.model_copy(update={"protocol": new})
        found = run(bought, config, NEXT_RIVALS[:1])

        for name in found.lists:
            n_listed = (found.lists[name] != MISSING).sum(axis=1)
            assert n_listed.min() == found.lists[name].shape[1], name

    def test_goes_without_ours_where_a_fit_has_too_little_data(self):
        few = CONFIG.model_copy(update={"protocol": FEW})
        found = run(interactions(30), few, NEXT_RIVALS[:3])

        assert OURS in found.skipped
        assert list(found.measured.models["all"]) == NAMES[:3]
        assert "recserve is missing" in next_text(found)

    def test_needs_sessions_to_tune_on(self):
        frame = interactions(2).groupby("user_id").head(2)
        frame["item_id"] = ["i0", "i1"] * 2

        with pytest.raises(NotEnoughData, match="for tuning: no interaction lies before"):
            run(frame, CONFIG.model_copy(update={"protocol": FEW}))


FEW = NextProtocolConfig(min_buyers=1)


class TestReport:
    def test_json_has_all_figures(self):
        found = json.loads(next_json(evaluation()))

        assert found["protocol"]["n_questions"] == len(evaluation().split.questions)
        assert found["questions"]["all"] == found["protocol"]["n_questions"]
        assert set(found["models"]["known 1"]) == {*NAMES}
        assert found["best"]["known 1+"]["mrr@10"] not in (OURS, OURS_DIVERSE)
        assert set(found["comparisons"]["all"][OURS]["markov"]) == {"difference", "ratio"}

    def test_text_has_protocol_groups_and_ratios(self):
        text = next_text(evaluation())

        assert "sessions: end with a pause of more than 30 minutes" in text
        assert "hit_rate@10 by events" in text
        assert "recserve / best" in text
        assert "(best single), mrr@10, known 1+: " in text

    def test_text_warns_of_a_user_with_many_of_the_questions(self):
        frame = interactions(100)
        late = frame["user_id"] == "s0099"
        robot = frame[late].sample(90, replace=True, random_state=1)
        robot["timestamp"] += pd.to_timedelta(np.arange(90), unit="s")
        few = CONFIG.model_copy(update={"protocol": FEW})
        found = next_text(run(pd.concat([frame, robot]), few, NEXT_RIVALS[:1]))

        assert re.search(r"one user has \d\d % of the questions", found)
        assert "one user has" not in next_text(evaluation())

    def test_the_best_rival_is_chosen_by_each_measure(self):
        models = evaluation().measured.models["known 1+"]
        best = best_rivals(models)

        for measure, name in best.items():
            assert models[name][measure].mean == max(
                models[rival.name][measure].mean for rival in NEXT_RIVALS
            )


def test_an_evaluation_of_users_names_the_one_of_next_items():
    with TemporaryDirectory() as folder:
        file = Path(folder) / "interactions.parquet"
        interactions().to_parquet(file)
        with pytest.raises(NotEnoughData, match="use `recserve evaluate --next`"):
            evaluate(
                InputFiles(None, None, file),
                EvaluationConfig(),
                lambda *_: None,
                now_at=NOW_AT,
                clock=ticks(),
            )
