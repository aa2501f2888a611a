from dataclasses import replace

import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.bundles.manifest import ModelManifest
from serve_app.fitting.judging.gate import SIMPLER, GateConfig, judge, why_not_comparable
from serve_app.fitting.judging.leaks import Leak
from serve_app.fitting.judging.measuring_window import N_BINS
from serve_app.fitting.judging.window_results import SERVED, WIDTH, WindowResults
from serve_app.measuring.bootstrap import Interval
from serve_app.recommending.scoring.model_features import FEATURES, SOURCES, fingerprint

N = 400
CONFIG = GateConfig(n_resamples=300)
NO = Interval(0.0, 0.0, 0.0)


def measured(**places):
    """
    Each user bought one item; an order has it at its place, from 0, or nowhere (None).

    Orders that are not named have it last; a list is a place for each user.
    """
    wanted = dict.fromkeys(SIMPLER, WIDTH - 1) | {"main": 0} | places
    names = tuple(name for name in wanted if wanted[name] is not MISSING)
    hits = np.zeros((len(names), N, WIDTH), bool)
    for i, name in enumerate(names):
        where = wanted[name]
        for user, place in enumerate(where if isinstance(where, list) else [where] * N):
            if place is not None:
                hits[i, user, place] = True
    return WindowResults(
        names=names,
        calibrated=(),
        lists=np.tile(np.arange(WIDTH, dtype=np.int32), (len(names), N, 1)),
        hits=hits,
        n_past=np.ones(N, np.int64),
        relevant=np.zeros(N, np.int32),
        offsets=np.arange(N + 1),
        n_found=np.ones(N, np.int64),
        offered=np.zeros((N, WIDTH, len(SOURCES)), bool),
        calibration=np.zeros((0, N_BINS, 3)),
    )


def mostly(usual, other, share):
    """A place for most users, another for a share of them."""
    return [other if user < share * N else usual for user in range(N)]


def of(verdict, name):
    [found] = [each for each in verdict.judgements if each.other == name]
    return found


def test_promotes_what_is_better_than_everything_simpler():
    verdict = judge(measured(), "main", CONFIG, 1)

    assert verdict.promoted
    assert {each.other for each in verdict.judgements} == {*SIMPLER, SERVED}
    assert all(each.passed for each in verdict.judgements)
    assert verdict.reason.startswith("main is better than popularity, similar_users")


@pytest.mark.parametrize("name", SIMPLER)
def test_refuses_what_is_like_something_simpler(name):
    places = {name: mostly(0, 1, 0.5), "main": mostly(1, 0, 0.5)}

    verdict = judge(measured(**places), "main", CONFIG, 1)

    assert not verdict.promoted
    assert verdict.reason == f"main is not better than {name}"
    assert not of(verdict, name).passed
    assert "main is like" in of(verdict, name).sentence


def test_names_all_that_it_is_not_better_than():
    verdict = judge(measured(fused=0, popular=0), "main", CONFIG, 1)

    assert verdict.reason == "main is not better than popular and fused"


class TestServed:
    def test_a_model_like_the_served_one_is_promoted(self):
        verdict = judge(measured(served=0), "main", CONFIG, 1)

        assert verdict.promoted
        assert verdict.reason.endswith("and not worse than served")

    def test_a_model_worse_than_the_served_one_is_refused(self):
        verdict = judge(measured(served=0, main=mostly(0, 2, 0.2)), "main", CONFIG, 1)

        assert not verdict.promoted
        assert verdict.reason == "main is worse than served"
        assert "main is worse than served: NDCG@10 differs by -0." in of(verdict, SERVED).sentence

    def test_a_model_that_may_be_worse_is_promoted(self):
        main, served = mostly(0, 1, 0.1), mostly(0, 1, 0.11)

        verdict = judge(measured(served=served[::-1], main=main), "main", CONFIG, 1)

        assert verdict.promoted
        assert of(verdict, SERVED).difference.low < 0 < of(verdict, SERVED).difference.high

    def test_it_must_be_better_where_that_is_demanded(self):
        config = GateConfig(n_resamples=300, served="better")

        like = judge(measured(served=0), "main", config, 1)
        better = judge(measured(served=mostly(0, 3, 0.3)), "main", config, 1)

        assert (like.promoted, better.promoted) == (False, True)
        assert like.reason == "main is not better than served"

    def test_says_why_it_was_not_compared(self):
        verdict = judge(measured(), "main", CONFIG, 1, served_absent="it is of another build")

        assert verdict.promoted
        assert of(verdict, SERVED).sentence == "not compared with served: it is of another build"
        assert of(verdict, SERVED).difference is None


def model(features=FEATURES, print_=None):
    return ModelManifest(
        file="models/main.ubj",
        features=features,
        fingerprint=fingerprint(features) if print_ is None else print_,
        objective="binary:logistic",
        n_trees=1,
        metrics={},
    )


@pytest.mark.parametrize(
    ("served", "learnt_until_at", "why"),
    [
        (model(), 100.0, None),
        (None, 100.0, "no model is served"),
        (model(print_="0" * 12), 100.0, "another build"),
        (model(), 101.0, "learnt from the window itself"),
    ],
)
def test_knows_whether_the_served_model_can_be_compared(served, learnt_until_at, why):
    found = why_not_comparable(served, learnt_until_at, window_at=100.0)

    assert found is None if why is None else why in found


def test_says_when_a_baseline_was_not_measured():
    silent = measured(new_items=0)
    lists = silent.lists.copy()
    lists[silent.names.index("new_items")] = MISSING

    for each in (measured(new_items=MISSING), replace(silent, lists=lists)):
        verdict = judge(each, "main", CONFIG, 1)
        assert verdict.promoted
        assert of(verdict, "new_items").sentence == "not compared with new_items: it has no lists"


def test_refuses_where_there_was_nothing_to_compare_with():
    verdict = judge(measured(**dict.fromkeys(SIMPLER, MISSING)), "main", CONFIG, 1)

    assert not verdict.promoted
    assert verdict.reason == "there was nothing to compare main with"


@pytest.mark.parametrize("suspicious", [True, False])
def test_a_suspicious_source_refuses(suspicious):
    leak = Leak("autoencoder", NO, NO, NO, suspicious, "")

    verdict = judge(measured(), "main", CONFIG, 1, leaks=(leak,))

    assert verdict.promoted is not suspicious
    assert ("autoencoder may have seen" in verdict.reason) is suspicious


def test_promotes_what_failed_if_nothing_is_served():
    verdict = judge(measured(fused=0), "main", CONFIG, 1, nothing_served=True)

    assert (verdict.promoted, verdict.order) == (True, "model")
    assert not of(verdict, "fused").passed
    assert verdict.reason == (
        "nothing better is there to be served, although main is not better than fused"
    )


@pytest.mark.parametrize("better", ["popularity", "popular"])
def test_popularity_is_served_if_nothing_is_and_the_model_is_not_better(better):
    verdict = judge(measured(**{better: 0}), "main", CONFIG, 1, nothing_served=True)

    assert (verdict.promoted, verdict.order) == (True, "popularity")
    assert verdict.reason == (
        f"popularity orders the lists until a model is better: main is not better than {better}"
    )


def test_popularity_is_served_if_nothing_is_and_a_source_is_suspicious():
    leak = Leak("autoencoder", NO, NO, NO, True, "")

    verdict = judge(measured(), "main", CONFIG, 1, leaks=(leak,), nothing_served=True)

    assert (verdict.promoted, verdict.order) == (True, "popularity")


def test_popularity_is_served_if_nothing_is_and_there_was_nothing_to_compare_with():
    nothing = measured(**dict.fromkeys(SIMPLER, MISSING))

    assert judge(nothing, "main", CONFIG, 1, nothing_served=True).order == "popularity"


def test_the_reason_of_what_passed_is_its_own_if_nothing_is_served():
    alone = judge(measured(), "main", CONFIG, 1, nothing_served=True)

    assert alone == judge(measured(), "main", CONFIG, 1)


def test_no_ratio_is_told_where_the_other_may_be_zero():
    verdict = judge(measured(popular=None), "main", CONFIG, 1)

    assert of(verdict, "popular").ratio is None
    assert of(verdict, "popular").difference.mean == 1.0


def test_the_same_seed_gives_the_same_verdict():
    each = measured(fused=mostly(0, 1, 0.5))

    assert judge(each, "main", CONFIG, 5) == judge(each, "main", CONFIG, 5)
