"""The steps of a fit: what is done again and what is not, and what a killed one leaves."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from serve_app.arrays.columns import IdIndex
from serve_app.bundles.publishing import publish
from serve_app.errors import StepMissing
from serve_app.fitting.data.labels import BOUGHT
from serve_app.fitting.fit_config import STEP_SETTINGS, FitConfig
from serve_app.fitting.fit_source import DataInMemory, FitData
from serve_app.fitting.moments.snapshot import build_archive
from serve_app.fitting.pipeline import STEPS
from serve_app.fitting.run import ALWAYS_AGAIN, StepCost, keys_of, run
from serve_app.fitting.steps.find_candidates import load_outcomes
from serve_app.fitting.steps.publish_bundle import assemble_result
from serve_app.fitting.steps.train_models import calibrated_variants, load_objectives, read_booster
from serve_app.fitting.training.boosting import VariantConfig, parse_booster
from serve_app.fitting.training.rising_trees import N_TREES
from serve_app.fitting.workspace.step_folders import Workspace, compute_key
from serve_app.fitting.workspace.workers import LocalWorkers
from tests.support.few_examples import FEW_EXAMPLES
from tests.support.hand_made_logs import demo_shop

SMALL = FitConfig(
    variants={"main": VariantConfig(n_trees=5, few_users=0, few_newcomers=0)}, **FEW_EXAMPLES
)
LEARNING = {name: step for name, step in STEPS.items() if name != "publish"}
SHOP = DataInMemory(FitData(*demo_shop()))


class KilledError(Exception):
    """Stands for a process that ends in the middle of a step."""


def silent(step, share):
    pass


@pytest.fixture
def work(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The workspace that a whole fit has left."""
    work = Workspace(tmp_path_factory.mktemp("fit"))
    fit_all(work)
    return work


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """The workspace of a fit that learnt an order from the same few users."""
    work = Workspace(tmp_path_factory.mktemp("ranked"))
    main = SMALL.variants["main"].model_copy(update={"min_ranking_users": 0})
    fit_all(work, SMALL.model_copy(update={"variants": {"main": main}}))
    return work


def fit_all(work, config=SMALL, data=None, steps=LEARNING, only=None):
    """Names of the steps that ran."""
    ran = run(steps, work, config, SHOP, LocalWorkers(), silent, inputs=data, only=only)
    return [each.step for each in ran if each.again]


def named(*names):
    """Steps that leave their own name."""

    def step(job, folder, name):
        (folder / "name").write_text(name)

    return {name: partial(step, name=name) for name in names}


NAMED = named(*STEP_SETTINGS)


class TestTrain:
    def test_scores_of_few_users_are_log_odds(self, filled):
        assert calibrated_variants(filled) == ("main",)

    def test_scores_are_no_log_odds_where_an_order_was_learnt_too(self, ranked):
        assert calibrated_variants(ranked) == ()

    def test_tells_each_objective_that_was_learnt_once(self, ranked):
        assert load_objectives(ranked) == {"main": ["binary:logistic", "rank:ndcg"]}

    def test_each_model_is_as_simple_as_its_own_users_are_few(self, filled, work):
        windows = {"held_out": ["past"], "published": ["past", "latest"]}
        n_users = {
            kind: len({user for name in names for user in load_outcomes(filled, name).users})
            for kind, names in windows.items()
        }
        main = SMALL.variants["main"].model_copy(update={"few_users": 2 * n_users["published"]})
        fit_all(work, SMALL.model_copy(update={"variants": {"main": main}}))

        trees = {
            kind: parse_booster(read_booster(work, kind, "main")).num_boosted_rounds()
            for kind in n_users
        }
        grown = {kind: 2 * main.for_users(n).n_trees for kind, n in n_users.items()}
        # Trees of the singles that a model leans on, two and one here, come with its own trees.
        of_singles = {kind: trees[kind] - n for kind, n in grown.items()}
        assert of_singles == {"held_out": 2 * N_TREES, "published": N_TREES}
        assert grown["held_out"] < grown["published"] < 2 * 5

    def test_both_models_lean_on_popularity_where_newcomers_are_few(self, work):
        main = SMALL.variants["main"].model_copy(update={"few_newcomers": 1_500})
        fit_all(work, SMALL.model_copy(update={"variants": {"main": main}}))

        for kind in ("held_out", "published"):
            booster = parse_booster(read_booster(work, kind, "main"))
            assert booster.num_boosted_rounds() == 2 * 5 + N_TREES


class TestRun:
    def test_runs_every_step_in_its_order(self, work):
        assert fit_all(work, steps=NAMED) == list(STEP_SETTINGS)

    def test_does_only_again_what_depends_on_what_is_served(self, work):
        fit_all(work, steps=NAMED)

        assert fit_all(work, steps=NAMED) == ["evaluate", "publish"]

    def test_other_data_begin_anew(self, work):
        fit_all(work, steps=NAMED, data=["7"])

        assert fit_all(work, steps=NAMED, data=["8"]) == list(STEP_SETTINGS)

    @pytest.mark.parametrize(
        ("changed", "again"),
        [
            ({"n_versions_kept": 3}, ["evaluate", "publish"]),
            ({"variants": {"main": VariantConfig(n_trees=6)}}, ["train", "evaluate", "publish"]),
            ({"max_negatives": 9}, ["candidates", "train", "evaluate", "publish"]),
            ({"label_share": 0.2}, list(STEP_SETTINGS)),
        ],
    )
    def test_other_settings_begin_where_they_count(self, work, changed, again):
        fit_all(work, steps=NAMED)

        assert fit_all(work, SMALL.model_copy(update=changed), steps=NAMED) == again

    @pytest.mark.parametrize("killed", STEP_SETTINGS)
    def test_goes_on_where_it_was_killed(self, work, killed):
        def die(job, folder):
            (folder / "half").write_text("half")
            raise KilledError

        with pytest.raises(KilledError):
            fit_all(work, steps={**NAMED, killed: die})
        names = list(STEP_SETTINGS)
        assert work.done(killed) is None
        assert not list(work.folder.rglob("half"))

        again = {*names[names.index(killed) :], *ALWAYS_AGAIN}
        assert fit_all(work, steps=NAMED) == [name for name in names if name in again]

    def test_a_step_that_dies_again_leaves_its_results_of_before(self, work):
        def die(job, folder):
            raise KilledError

        fit_all(work, steps=NAMED)
        with pytest.raises(KilledError):
            fit_all(work, steps={**NAMED, "train": die}, only="train")

        assert (work.folder_of("train") / "name").read_text() == "train"

    def test_one_step_runs_alone_and_again(self, work):
        fit_all(work, steps=NAMED)

        assert fit_all(work, steps=NAMED, only="train") == ["train"]

    def test_a_step_alone_says_which_other_it_needs(self, work):
        fit_all(work, steps=NAMED, only="check")

        with pytest.raises(StepMissing, match="'train' needs 'features'"):
            fit_all(work, steps=NAMED, only="train")

    def test_tells_what_a_step_took(self, work):
        @contextmanager
        def meter():
            yield StepCost(seconds=2.0, peak_bytes=3)

        [ran] = run(NAMED, work, SMALL, SHOP, LocalWorkers(), silent, meter, only="check")

        assert (ran.done.seconds, ran.done.peak_bytes) == (2.0, 3)
        assert work.done("check") == ran.done

    def test_what_is_forgotten_is_done_again(self, work):
        fit_all(work, steps=NAMED)

        work.clear()

        assert fit_all(work, steps=NAMED) == list(STEP_SETTINGS)


class TestSettings:
    def test_every_setting_belongs_to_one_step(self):
        names = [name for names in STEP_SETTINGS.values() for name in names]

        assert sorted(names) == sorted(FitConfig.model_fields)

    def test_steps_are_those_that_run(self):
        assert list(STEPS) == list(STEP_SETTINGS)

    def test_a_key_depends_on_all_that_came_before(self):
        keys = keys_of(SMALL, None)

        assert len({*keys.values(), compute_key(None)}) == len(STEP_SETTINGS) + 1


class TestResults:
    def test_a_resumed_fit_publishes_the_same_bytes(self, filled, work, tmp_path):
        def die(job, folder):
            raise KilledError

        for killed in LEARNING:
            with pytest.raises(KilledError):
                fit_all(work, steps={**LEARNING, killed: die})
        fit_all(work)

        versions = {
            publish(
                str(tmp_path / f"bundles{i}"),
                assemble_result(each, SMALL, {}).contents,
                created_at=1.0,
            ).version
            for i, each in enumerate((filled, work))
        }
        assert len(versions) == 1

    def test_names_no_objective_that_users_were_too_few_for(self, filled):
        made = assemble_result(filled, SMALL, {})

        assert SMALL.variants["main"].objectives == ("binary:logistic", "rank:ndcg")
        assert made.contents.models["main"].objective == "binary:logistic"

    def test_names_every_objective_that_was_learnt(self, ranked):
        made = assemble_result(ranked, SMALL, {})

        assert made.contents.models["main"].objective == "binary:logistic + rank:ndcg"

    def test_the_users_of_the_log_are_read_back(self, filled):
        _, _, log = demo_shop()

        made = assemble_result(filled, SMALL, {})

        assert list(made.user_ids) == list(log.user_ids)
        expected = build_archive(log, IdIndex.of(log.user_ids), BOUGHT)
        np.testing.assert_array_equal(
            made.contents.fitted.archive.events["row"], expected.events["row"]
        )
