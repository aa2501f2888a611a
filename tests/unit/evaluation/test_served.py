from functools import cache

import numpy as np

from serve_app.arrays.columns import MISSING
from serve_app.domain.interactions import PURCHASE
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from serve_app.evaluation.served import ServedConfig, fit_on_training, list_from_bundle
from serve_app.fitting.data.labels import LabelConfig
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.loading.in_memory import LoadedFiles
from serve_app.measuring.lists import hits_of
from serve_app.recommending.scoring.model_features import SOURCES
from tests.support.few_examples import FEW_EXAMPLES
from tests.support.hand_made_logs import demo_shop

QUICK = ServedConfig(
    fit=FitConfig(variants={"main": VariantConfig(n_models=1, n_trees=100)}, **FEW_EXAMPLES)
)


def files_and_split():
    items, users, log = demo_shop()
    files = LoadedFiles(items, users, log, {})
    return files, split_at_share(log, ProtocolConfig(max_users=60))


@cache
def served_and_split():
    """The lists of the unchanged shop; fitting takes seconds."""
    files, split = files_and_split()
    return lists_of(files, split), split


def lists_of(files, split, width=10):
    def ignore(step, share):
        pass

    result = fit_on_training(files, split, QUICK, ignore)
    return list_from_bundle(result, split, width, QUICK, ignore)


class TestServedLists:
    def test_recommends_ranked_items_only_and_no_bought_item(self):
        served, split = served_and_split()

        for lists in (served.plain, served.diverse):
            assert lists.shape == (len(split.users), 10)
            assert lists.max() < split.training.n_items
            for i, row in enumerate(lists.tolist()):
                start, stop = split.excluded.offsets[i : i + 2]
                listed = [item for item in row if item != MISSING]
                assert len(set(listed)) == len(listed) > 0
                assert not set(listed) & set(split.excluded.items[start:stop].tolist())

    def test_does_not_depend_on_later_interactions(self):
        files, split = files_and_split()
        log = files.log
        rng = np.random.default_rng(1)
        rows = np.where(log.at >= split.cut_at, rng.permutation(log.rows), log.rows)
        other = type(log)(log.user_ids, log.users, rows, log.types, log.values, log.at)
        shuffled = split_at_share(other, ProtocolConfig(max_users=60))
        # The test users may differ; the lists of users in both splits must not.
        one, _ = served_and_split()
        another = lists_of(LoadedFiles(files.items, files.users, other, {}), shuffled)
        both, of_one, of_another = np.intersect1d(split.users, shuffled.users, return_indices=True)

        assert len(both) > 10
        np.testing.assert_array_equal(one.plain[of_one], another.plain[of_another])
        np.testing.assert_array_equal(one.diverse[of_one], another.diverse[of_another])

    def test_recommends_bought_items_if_repeats_count(self):
        files, _ = files_and_split()
        label = LabelConfig(repeats=True)
        split = split_at_share(files.log, ProtocolConfig(max_users=60, label=label))
        served = lists_of(files, split)
        bought = [
            files.log.rows[(files.log.users == user) & (files.log.types == PURCHASE)]
            for user in split.user_numbers[split.users]
        ]
        again = [
            np.isin(split.item_rows[row[row != MISSING]], rows).any()
            for row, rows in zip(served.plain, bought, strict=True)
        ]

        assert np.mean(again) > 0.1

    def test_lists_of_each_source_hold_no_item_twice(self):
        served, _ = served_and_split()

        assert set(served.by_source) == set(SOURCES)
        for lists in served.by_source.values():
            assert lists.shape == served.plain.shape
            for row in lists.tolist():
                listed = [item for item in row if item != MISSING]
                assert len(set(listed)) == len(listed)

    def test_hits_no_more_items_than_its_candidates_hold(self):
        served, split = served_and_split()
        hits = hits_of(served.plain, split.wanted, split.training.n_items).sum(axis=1)

        assert (hits <= served.candidate_recall * np.diff(split.wanted.offsets) + 1e-9).all()
        assert 0 < served.candidate_recall.mean() <= 1
