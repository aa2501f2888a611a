import asyncio
from dataclasses import fields

import numpy as np
import pytest

from serve_app.bundles.bundle import open_bundle
from serve_app.bundles.models.loading import load_model
from serve_app.domain.batches import RequestBatch
from serve_app.errors import ModelsUnusable
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from serve_app.recommending.recommend_batch import recommend_batch
from serve_app.recommending.scoring.model_features import unknown_user, user_features
from serve_app.serving.config import AppConfig
from serve_app.serving.current_bundle import CurrentBundle
from serve_app.serving.pipeline import recommend
from serve_app.serving.warm_up import WARM_UP_DEADLINES
from tests.support.in_process import SilentStages, stages_over
from tests.support.small_bundles import location_of, publish_world
from tests.support.small_world import AT

USERS = ("u000001", "u000002", "nobody")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = tmp_path_factory.mktemp("published") / "bundles"
    return location_of(root), publish_world(root).version


@pytest.fixture(scope="module")
def bundle(published):
    location, version = published
    return open_bundle(location.root, version, cache_dir=location.cache_dir)


@pytest.fixture(scope="module")
def batch(bundle):
    return RequestBatch.unfiltered(USERS, 10, AT, bundle.manifest.version)


def recommendations(bundle, batch, variant="main"):
    columns = np.tile(unknown_user(), (len(batch), 1))
    return recommend_batch(
        batch,
        bundle.fitted.archive.read(batch.user_ids, stale=False),
        user_features(columns, batch.at),
        CandidateFinder.of(bundle.fitted, CandidatesConfig()),
        load_model(bundle, variant),
        RankingConfig(),
    )


def assert_equal(found, expected):
    for field in fields(expected):
        np.testing.assert_array_equal(
            getattr(found, field.name), getattr(expected, field.name), err_msg=field.name
        )


def test_every_user_gets_a_full_list_of_their_candidates(bundle, batch):
    made = recommendations(bundle, batch)

    assert np.diff(made.ranked.offsets).tolist() == [10] * len(USERS)
    assert set(made.ranked.rows.tolist()) <= set(made.candidates.rows.tolist())
    assert len(made.scored.scores) == len(made.candidates.rows)


@pytest.mark.parametrize("variant", ["main", "challenger"])
def test_the_served_stages_recommend_exactly_the_same(published, bundle, batch, variant):
    config = AppConfig()
    floor = CurrentBundle.of(bundle, config.candidates, config.ranking).floor
    stages = stages_over(published[0], config)

    served = asyncio.run(
        recommend(batch, (variant,) * len(USERS), stages, floor, WARM_UP_DEADLINES, SilentStages())
    )

    expected = recommendations(bundle, batch, variant)
    assert served.degraded == ((),) * len(USERS)
    assert_equal(served.candidates, expected.candidates)
    assert_equal(served.ranked, expected.ranked)


def test_a_bundle_without_the_variant_has_no_model(bundle):
    with pytest.raises(ModelsUnusable, match="nobody"):
        load_model(bundle, "nobody")
