"""The service without HTTP: what is asked together, kept, counted and timed."""

import asyncio
from dataclasses import replace

import numpy as np
import orjson
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.bundles.bundle import open_bundle
from serve_app.domain.catalogue import STANDARD_COLUMNS, UNCATEGORISED
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.errors import StoreUnavailable
from serve_app.live.overlay import apply
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from serve_app.serving import costly_filters
from serve_app.serving.answering import RecommendationService
from serve_app.serving.config import AppConfig
from serve_app.serving.current_bundle import CurrentBundle
from serve_app.serving.questions import (
    ANSWER_PREFIX,
    Answer,
    Question,
    answer_key,
    encode_answer,
    pack_rows,
    still_holds,
)
from serve_app.stores.epochs import EPOCH_BYTES, begin_epoch, read_current_values, user_epoch
from serve_app.stores.freshness import make_visible
from serve_app.stores.reads_apart import ReadResult
from serve_app.telemetry.counting import Telemetry
from tests.support.in_memory_stores import InMemoryCache
from tests.support.in_process import (
    PATIENT,
    BrokenCache,
    Counts,
    bug,
    down,
    logged,
    new_cache,
    shown,
    stages_over,
)
from tests.support.small_bundles import location_of, publish_world
from tests.support.small_world import AT

CONFIG = AppConfig.model_validate({"deadlines": PATIENT})
USERS = [f"u{number:06d}" for number in range(12)]
LOGGER = "ray.serve.recserve.ingress"


def ask_of(user_id="ann", n=5, variant="main", include_metadata=False, at=None):
    return Question(user_id, n, None, variant, include_metadata, at)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("published") / "bundles"


@pytest.fixture(scope="module")
def worlds(root):
    """Two versions, the second with another model."""
    versions = [publish_world(root, n_trees).version for n_trees in (5, 6)]
    return [
        CurrentBundle.of(
            open_bundle(str(root), version, cache_dir=root), CandidatesConfig(), RankingConfig()
        )
        for version in versions
    ]


class Served:
    """A service over stages in this process, and what it told."""

    def __init__(self, root, config=CONFIG, *, cache=None, items=shown, now_at=AT, **stages):
        self.counts = Counts()
        self.cache = cache or new_cache()
        self.batches = []
        self.telemetry = Telemetry(self.counts, now_s=0)
        whole = replace(stages_over(location_of(root), config), **stages)

        async def candidates(batch):
            self.batches.append(batch)
            return await whole.candidates(batch)

        self.service = RecommendationService(
            config,
            replace(whole, candidates=candidates),
            items,
            self.cache,
            self.telemetry,
            clock=lambda: now_at,
        )

    def ask(self, world, *questions):
        async def together():
            asked = [self.service.recommend(question, world) for question in questions]
            return await asyncio.gather(*asked)

        return asyncio.run(together())

    def counted(self, name):
        self.telemetry.flush(0)
        return {tags: n for (found, tags), n in self.counts.counters.items() if found == name}


def test_questions_that_wait_travel_as_one_batch(root, worlds):
    served = Served(root)

    answers = served.ask(worlds[0], *(ask_of(user) for user in USERS))

    assert sum(len(batch) for batch in served.batches) == len(USERS)
    assert len(served.batches) <= 3
    assert [answer.n_items for answer in answers] == [5] * len(USERS)


def test_costly_filters_travel_apart_and_a_few_at_a_time(root, worlds, monkeypatch):
    monkeypatch.setattr(costly_filters, "CHEAP_READS", 0)
    served = Served(root)
    prices = [parse_filter({"price": {"gt": price}}, STANDARD_COLUMNS) for price in range(10)]
    costly = [replace(ask_of(), wanted=price) for price in prices]

    served.ask(worlds[0], *costly, *(ask_of(user) for user in USERS))

    with_filter = [{wanted is not None for wanted in batch.filters} for batch in served.batches]
    assert all(len(kinds) == 1 for kinds in with_filter)
    sizes = [
        len(batch)
        for batch, kinds in zip(served.batches, with_filter, strict=True)
        if kinds == {True}
    ]
    assert sum(sizes) == len(costly)
    assert max(sizes) <= costly_filters.MAX_BATCH


def test_the_cache_is_asked_for_all_that_wait_at_once(root, worlds):
    looked_up = []

    class Watched(InMemoryCache):
        async def get_many(self, keys):
            looked_up.append(len(keys))
            await asyncio.sleep(0)
            return await super().get_many(keys)

    config = AppConfig.model_validate(
        {"coalescing": {"max_in_flight": 1, "max_batch": 2}, "deadlines": PATIENT}
    )
    served = Served(root, config, cache=Watched(lambda: 0.0))

    served.ask(worlds[0], *(ask_of(user) for user in USERS))

    assert looked_up == [1 + 2, 2 * (len(USERS) - 1) + 1], "and for the epochs"
    assert max(len(batch) for batch in served.batches) == 2


def test_both_variants_travel_in_one_batch_and_score_apart(root, worlds):
    questions = [ask_of("ann", 20, variant) for variant in ("main", "challenger", "main")]
    uncached = AppConfig.model_validate(
        {
            "result_cache": {"enabled": False},
            "coalescing": {"max_in_flight": 1},
            "deadlines": PATIENT,
        }
    )
    served = Served(root, uncached)

    *_, first, second, third = served.ask(worlds[0], ask_of("bob"), *questions)

    assert [len(batch) for batch in served.batches] == [1, 3]
    assert first.recommendations == third.recommendations != second.recommendations


def test_a_batch_is_answered_from_the_newest_world_that_one_of_it_knows(root, worlds):
    served = Served(
        root, AppConfig.model_validate({"result_cache": {"enabled": False}, "deadlines": PATIENT})
    )

    async def together():
        asked = [served.service.recommend(ask_of(f"u{i}"), worlds[i > 2]) for i in range(6)]
        return await asyncio.gather(*asked)

    versions = [answer.version for answer in asyncio.run(together())]

    assert {batch.bundle for batch in served.batches} == {world.version for world in worlds}
    assert versions[3:] == [worlds[1].version] * 3


def test_features_are_computed_for_no_time_that_the_models_have_not_seen(root, worlds):
    served = Served(root, now_at=AT + 400 * DAY_S)

    served.ask(worlds[0], ask_of())

    assert [batch.at for batch in served.batches] == [AT + 30 * DAY_S]


def test_each_question_may_name_its_moment(root, worlds):
    served = Served(root, now_at=AT + 2 * DAY_S)

    served.ask(worlds[0], ask_of(), ask_of(at=0.0), ask_of(at=AT + DAY_S), ask_of(at=AT * 9))

    moments = [moment for batch in served.batches for moment in batch.at.tolist()]
    assert sorted(moments) == [0.0, AT + DAY_S, AT + 2 * DAY_S, AT + 30 * DAY_S]


def test_a_list_of_another_moment_is_neither_kept_nor_taken_from_the_cache(root, worlds):
    served = Served(root)

    answers = [served.ask(worlds[0], ask_of(at=at))[0] for at in (AT, AT, None, AT)]

    assert [answer.cached for answer in answers] == [False] * 4
    assert served.ask(worlds[0], ask_of())[0].cached


def test_what_is_kept_is_the_answer_under_the_version_that_gave_it(root, worlds):
    served = Served(root)
    [first] = served.ask(worlds[0], ask_of())

    settings = CONFIG.model_dump_json()
    keys = [answer_key(ask_of(), world.version, settings) for world in worlds]
    owners = [user_epoch("ann")] * 2
    kept, other = asyncio.run(read_current_values(served.cache, owners, keys, 60)).values

    assert kept == encode_answer(first)
    assert other is None


def test_shops_with_one_cache_keep_their_answers_apart(root, worlds):
    def of_shop(shop_id):
        bundle = worlds[0].bundle
        manifest = bundle.manifest.model_copy(update={"shop_id": shop_id})
        return replace(worlds[0], bundle=replace(bundle, manifest=manifest))

    served = Served(root)

    cached = [served.ask(of_shop(shop), ask_of())[0].cached for shop in ("a", "b", "a", "b")]

    assert cached == [False, False, True, True]


def test_a_cached_answer_says_how_many_items_it_has(root, worlds):
    served = Served(root)
    question = ask_of(n=7, include_metadata=True)

    [first], [second] = served.ask(worlds[0], question), served.ask(worlds[0], question)

    assert second == replace(first, cached=True)
    assert second.n_items == 7


def test_an_attribute_named_item_id_is_not_counted_as_an_item(root, worlds):
    async def with_item_id(batch):
        shown_items = (await shown(batch)).values
        return ReadResult(
            {
                key: replace(row, attributes={"item_id": "x", "also": [{"item_id": 1}]})
                for key, row in shown_items.items()
            }
        )

    served = Served(root, items=with_item_id)
    question = ask_of(n=7, include_metadata=True)

    [first] = served.ask(worlds[0], question)
    [second] = served.ask(worlds[0], question)

    assert b'"attributes":{"item_id":"x"' in second.recommendations
    assert second == replace(first, cached=True)
    assert second.n_items == 7


def test_an_answer_is_given_again_no_longer_than_its_time_to_live(root, worlds):
    now_s = 0.0
    cache = new_cache()
    cache._clock = lambda: now_s
    served = Served(root, cache=cache)
    served.ask(worlds[0], ask_of())

    now_s = CONFIG.result_cache.ttl_s - 1
    assert served.ask(worlds[0], ask_of())[0].cached
    now_s = CONFIG.result_cache.ttl_s + 1
    assert not served.ask(worlds[0], ask_of())[0].cached


def test_a_cache_that_is_down_is_a_warning_and_not_a_failure(root, worlds):
    served = Served(root, cache=BrokenCache())

    with logged(LOGGER) as records:
        [answer] = served.ask(worlds[0], ask_of())

    assert answer.n_items == 5
    assert answer.degraded == ()
    assert [record.getMessage() for record in records] == [
        "answers are not read from the cache: redis: ConnectionError"
    ]


def test_an_answer_that_is_lost_on_its_way_into_the_cache_is_a_warning(root, worlds):
    class Full(InMemoryCache):
        async def set_many(self, values, ttl_s):
            raise StoreUnavailable("redis", "OutOfMemoryError")

    served = Served(root, cache=Full(lambda: 0.0))

    with logged(LOGGER) as records:
        [answer] = served.ask(worlds[0], ask_of())

    assert answer.n_items == 5
    assert [record.getMessage() for record in records] == [
        "answers are not kept in the cache: redis: OutOfMemoryError"
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: begin_epoch(cache, b"e" * EPOCH_BYTES),
        lambda cache: make_visible(cache, ["ann"]),
    ],
    ids=["load", "event"],
)
def test_an_answer_that_was_under_way_during_a_change_is_not_given_again(root, worlds, change):
    cache = new_cache()
    stages = stages_over(location_of(root), CONFIG)

    async def change_meanwhile(batch):
        found = await stages.candidates(batch)
        await change(cache)
        return found

    served = Served(root, cache=cache, candidates=change_meanwhile)

    [during] = served.ask(worlds[0], ask_of())
    kept = asyncio.run(served.cache.keys(ANSWER_PREFIX))
    [after] = served.ask(worlds[0], ask_of())

    assert during.recommendations == after.recommendations
    assert len(kept) == 1, "it was written, and does not hold"
    assert not after.cached


def test_an_event_ends_the_cached_answers_of_its_user_and_of_nobody_else(root, worlds):
    served = Served(root)
    served.ask(worlds[0], ask_of("ann"), ask_of("bob"))

    asyncio.run(make_visible(served.cache, ["ann"]))
    ann, bob = served.ask(worlds[0], ask_of("ann"), ask_of("bob"))

    assert (ann.cached, bob.cached) == (False, True)


def test_no_answer_counts_that_was_cached_before_a_restart_of_redis(root, worlds):
    served = Served(root)
    served.ask(worlds[0], ask_of())
    served.cache.server = b"another server!!"

    assert [served.ask(worlds[0], ask_of())[0].cached for _ in range(2)] == [False, True]


@pytest.mark.parametrize("items", [down, "never"], ids=["failed", "late"])
def test_only_those_who_want_metadata_are_told_that_it_was_replaced(root, worlds, items):
    async def never(_):
        await asyncio.Event().wait()

    hasty = AppConfig.model_validate({"deadlines": {"features_s": 0.05}})
    served = Served(root, hasty, items=never if items == "never" else items)

    with_it, without = served.ask(
        worlds[0], ask_of(include_metadata=True), ask_of("bob", include_metadata=False)
    )

    assert (with_it.degraded, without.degraded) == (("metadata",), ())
    assert all(each["metadata"]["title"] for each in orjson.loads(with_it.recommendations))
    reason = "timed_out" if items == "never" else "connection_refused"
    assert served.counted("recserve_degraded_total") == {("metadata", reason): 1}


def test_one_item_that_no_store_answers_for_degrades_only_whom_it_is_shown_to(root, worlds):
    [plain, other] = Served(root).ask(worlds[0], ask_of("u000001"), ask_of("u000002"))
    own, others = (
        {each["item_id"] for each in orjson.loads(answer.recommendations)}
        for answer in (plain, other)
    )
    [lost, *_] = sorted(own - others)

    async def without_one(batch):
        found = await shown(batch)
        values = {item_id: row for item_id, row in found.values.items() if item_id != lost}
        return ReadResult(values, frozenset({lost} & set(batch.item_ids)))

    served = Served(root, items=without_one)
    first, second = served.ask(
        worlds[0],
        ask_of("u000001", include_metadata=True),
        ask_of("u000002", include_metadata=True),
    )

    assert (first.degraded, second.degraded) == (("metadata",), ())
    titles = {e["item_id"]: e["metadata"]["title"] for e in orjson.loads(first.recommendations)}
    assert titles[lost] != "A title"
    assert {title for item_id, title in titles.items() if item_id != lost} == {"A title"}
    assert served.counted("recserve_degraded_total") == {("metadata", "store_unavailable"): 1}


def test_a_bug_reaches_everybody_in_its_batch_and_nobody_else(root, worlds):
    served = Served(root, rank=bug)

    async def scenario():
        asked = [served.service.recommend(ask_of(user), worlds[0]) for user in USERS]
        return await asyncio.gather(*asked, return_exceptions=True)

    assert {type(answer) for answer in asyncio.run(scenario())} == {ZeroDivisionError}


def test_counts_candidates_by_source_and_requests_by_batch(root, worlds):
    served = Served(root)

    served.ask(worlds[0], ask_of())

    by_source = served.counted("recserve_candidates_total")
    assert by_source["popular",] > 50
    assert ("similar_users",) not in by_source
    assert ("recserve_batch_size", (), 1.0) in served.counts.observed
    stages = {
        tags for name, tags, _ in served.counts.observed if name.endswith("stage_duration_seconds")
    }
    assert stages == {("features",), ("candidates",), ("scorer-main",), ("ranker",)}


def test_metadata_that_json_cannot_hold_degrades_the_lists_with_that_item_alone(root, worlds):
    async def one_is_huge(batch):
        found, first = await shown(batch), batch.item_ids[0]
        huge = replace(found.values[first], attributes={"size": 10**20})
        return ReadResult({**found.values, first: huge})

    served = Served(root, items=one_is_huge)
    questions = [ask_of(user, include_metadata=True) for user in USERS]

    answers = served.ask(worlds[0], *questions)

    lists = [orjson.loads(answer.recommendations) for answer in answers]
    assert all(len(items) == 5 for items in lists)
    replaced = [any(item["metadata"]["title"] != "A title" for item in items) for items in lists]
    assert [answer.degraded == ("metadata",) for answer in answers] == replaced
    assert any(replaced)


def sold_out(world, rows, revision):
    """The world after some of its items were sold out."""
    catalogue = world.live.fitted.catalogue
    items = [
        ItemChange(
            revision,
            row,
            catalogue.item_ids.at(row),
            catalogue.titles.at(row),
            catalogue.categories.word(row) or UNCATEGORISED,
            float(catalogue.number("price")[row]),
            in_stock=False,
        )
        for row in rows
    ]
    return world.at(apply(world.live, Changes(revision, items)))


class TestRevisions:
    def test_a_batch_names_the_revision_that_the_ingress_knows(self, root, worlds):
        served = Served(root)

        served.ask(sold_out(worlds[0], [7], 12), ask_of())

        assert [batch.revision for batch in served.batches] == [12]

    def test_a_cached_answer_ends_when_one_of_its_items_changes(self, root, worlds):
        served = Served(root)
        [first] = served.ask(worlds[0], ask_of())
        listed = np.frombuffer(first.rows, "<i4").tolist()
        [other] = [row for row in range(6) if row not in listed][:1]

        [unchanged] = served.ask(sold_out(worlds[0], [other], 5), ask_of())
        [changed] = served.ask(sold_out(worlds[0], listed[:1], 6), ask_of())

        assert (first.cached, unchanged.cached, changed.cached) == (False, True, False)
        assert unchanged.rows == first.rows

    def test_a_cached_answer_to_a_filtered_question_ends_with_any_change(self, root, worlds):
        served = Served(root)
        question = replace(ask_of(), wanted=parse_filter({"price": {"gt": 0}}, STANDARD_COLUMNS))
        [first] = served.ask(worlds[0], question)
        listed = np.frombuffer(first.rows, "<i4").tolist()
        [other] = [row for row in range(6) if row not in listed][:1]

        [again] = served.ask(worlds[0], question)
        [later] = served.ask(sold_out(worlds[0], [other], 5), question)

        assert (again.cached, later.cached) == (True, False)

    @pytest.mark.parametrize(("n_items", "holds"), [(0, False), (9, False), (10, True)])
    def test_a_cached_answer_that_is_too_short_ends_with_any_change(self, worlds, n_items, holds):
        question = replace(ask_of(), n=10)
        rows = pack_rows(np.arange(n_items, dtype=np.int32))
        answer = Answer(b"[]", n_items, "a version", revision=4, rows=rows)

        assert still_holds(answer, question, sold_out(worlds[0], [20], 4).live)
        assert still_holds(answer, question, sold_out(worlds[0], [20], 5).live) == holds

    def test_a_stage_that_is_behind_lists_nothing_that_is_known_to_be_sold_out(self, root, worlds):
        uncached = AppConfig.model_validate(
            {"result_cache": {"enabled": False}, "deadlines": PATIENT}
        )
        served = Served(root, uncached)
        [whole] = served.ask(worlds[0], ask_of())
        listed = np.frombuffer(whole.rows, "<i4").tolist()

        # The stages of this test never follow the shop.
        [answer] = served.ask(sold_out(worlds[0], listed[:2], 5), ask_of())

        assert np.frombuffer(answer.rows, "<i4").tolist() == listed[2:]
        assert answer.n_items == len(listed) - 2

    def test_the_floor_knows_what_the_ingress_knows(self, root, worlds):
        served = Served(root, candidates=down)
        [first] = served.ask(worlds[0], ask_of())
        listed = np.frombuffer(first.rows, "<i4").tolist()

        [later] = served.ask(sold_out(worlds[0], listed, 5), ask_of())

        assert "candidates" in later.degraded
        assert later.n_items == 5
        assert not {*np.frombuffer(later.rows, "<i4").tolist()} & {*listed}

    def test_an_answer_says_that_a_stage_is_behind(self, root, worlds):
        async def behind(batch):
            return replace(
                await stages_over(location_of(root), CONFIG).candidates(batch), is_behind=True
            )

        served = Served(root, candidates=behind)

        [answer] = served.ask(worlds[0], ask_of())

        assert answer.degraded == ("catalogue",)
