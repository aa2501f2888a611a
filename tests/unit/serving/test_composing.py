from dataclasses import replace

import numpy as np
import orjson
import pytest

from serve_app.arrays.columns import MISSING, NumberColumn
from serve_app.domain.batches import RankedBatch
from serve_app.domain.item_patches import ItemNames
from serve_app.recommending.ranking.reasons import REASON_CODES
from serve_app.recommending.similar import SimilarItems
from serve_app.serving.composing import compose, describe, item_ids, similar_list
from tests.support.small_world import small_world

CATALOGUE = small_world().fitted.catalogue
NAMES = ItemNames.of(CATALOGUE)
POPULAR, BOUGHT = REASON_CODES["popular"], REASON_CODES["because_bought"]
RANKED = RankedBatch(
    offsets=np.array([0, 1, 1, 3]),
    rows=np.array([4, 7, 9], np.int32),
    scores=np.array([0.5, 0.123456789, -2], np.float32),
    reasons=np.array([POPULAR, BOUGHT, POPULAR], np.uint8),
    subjects=np.array([MISSING, 11, MISSING], np.int32),
)


def id_of(row):
    return CATALOGUE.item_ids.at(row)


def test_each_request_gets_its_own_items():
    assert [item_ids(RANKED, i, NAMES) for i in range(3)] == [
        [id_of(4)],
        [],
        [id_of(7), id_of(9)],
    ]


def test_writes_ids_scores_and_reasons_in_order():
    assert orjson.loads(compose(RANKED, 2, NAMES, CATALOGUE, None).json) == [
        {
            "item_id": id_of(7),
            "score": 0.123457,
            "reason": f"Because you bought {CATALOGUE.titles.at(11)}",
        },
        {"item_id": id_of(9), "score": -2.0, "reason": "Popular right now"},
    ]


def test_nothing_is_an_empty_array():
    assert compose(RANKED, 1, NAMES, CATALOGUE, {}).json == b"[]"


def test_metadata_stands_beside_each_item():
    items = orjson.loads(compose(RANKED, 2, NAMES, CATALOGUE, {id_of(7): {"price": 3}}).json)

    assert [item["metadata"] for item in items] == [{"price": 3}, None]


def nested(depth):
    return {"a": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize("attribute", [10**20, nested(400), "\ud800", object()])
def test_the_catalogue_describes_an_item_whose_metadata_json_cannot_hold(attribute):
    metadata = {id_of(7): {"attributes": {"a": attribute}}, id_of(9): {"price": 3}}

    content = compose(RANKED, 2, NAMES, CATALOGUE, metadata)

    assert not content.is_whole
    assert [item["metadata"] for item in orjson.loads(content.json)] == [
        describe(id_of(7), CATALOGUE),
        {"price": 3},
    ]


def test_the_catalogue_describes_an_item_without_a_store():
    rated = int(np.argmax(CATALOGUE.number("num_ratings")))

    found = describe(id_of(rated), CATALOGUE)

    assert found["title"] == CATALOGUE.titles.at(rated)
    assert found["category"] == CATALOGUE.categories.word(rated)
    assert found["price"] == pytest.approx(CATALOGUE.number("price")[rated])
    assert found["tags"] == CATALOGUE.columns["tags"].words(rated)
    assert found["in_stock"] is bool(CATALOGUE.in_stock[rated])
    assert found["avg_rating"] == pytest.approx(CATALOGUE.number("avg_rating")[rated])
    assert found["num_ratings"] == CATALOGUE.number("num_ratings")[rated] > 0


def test_the_catalogue_prints_an_average_rating_as_the_stores_do():
    ratings = NumberColumn(np.full(len(CATALOGUE), 7 / 3))
    catalogue = replace(CATALOGUE, columns={**CATALOGUE.columns, "avg_rating": ratings})

    assert orjson.dumps(describe(id_of(4), catalogue)["avg_rating"]) == b"2.3333333"


def test_what_the_catalogue_does_not_know_is_null():
    unrated = int(np.flatnonzero(np.isnan(CATALOGUE.number("avg_rating")))[0])

    found = describe(id_of(unrated), CATALOGUE)

    assert (found["avg_rating"], found["num_ratings"]) == (None, 0)
    assert orjson.loads(orjson.dumps(found)) == found


def test_similar_items_are_ids_and_scores():
    found = SimilarItems(np.array([3, 5], np.int32), np.array([0.25, 0], np.float32))

    assert similar_list(found, CATALOGUE) == [
        {"item_id": id_of(3), "score": 0.25},
        {"item_id": id_of(5), "score": 0.0},
    ]
