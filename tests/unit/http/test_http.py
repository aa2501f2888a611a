"""The HTTP contract, on an ingress whose stages run in this process."""

import asyncio
import json
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.bundles.publishing import publish
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.domain.filters.parsing import parse_filter
from serve_app.http.http_errors import NO_OBJECT
from serve_app.serving.config import MAX_N, AppConfig
from serve_app.stores.reads_apart import ReadResult
from tests.support.in_process import PATIENT, Api, BrokenCache, bug, down, logged
from tests.support.small_bundles import contents_of, publish_world
from tests.support.small_world import purchased, small_world

WORLD = small_world()
CATALOGUE = WORLD.fitted.catalogue
ALLOWED = AllowedItems(CATALOGUE)
USERS = [f"u{number:06d}" for number in range(80)]
NO_CACHE = AppConfig.model_validate({"result_cache": {"enabled": False}, "deadlines": PATIENT})


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = tmp_path_factory.mktemp("published") / "bundles"
    return root, publish_world(root).version


@pytest.fixture(scope="module")
def api(published):
    root, version = published
    with Api(root) as opened:
        yield opened.until_in_use(version)


@pytest.fixture
def open_api(published):
    """Opens an API of the test's own over the published bundle."""
    root, version = published
    opened = []

    def of(*arguments, **options):
        opened.append(Api(root, *arguments, **options).__enter__())
        return opened[-1].until_in_use(version)

    yield of
    for each in opened:
        each.__exit__()


@pytest.fixture
def nothing_published(tmp_path):
    with Api(tmp_path / "bundles") as opened:
        yield opened


def rows_of(answer):
    ids = [each["item_id"] for each in answer["recommendations"]]
    rows = CATALOGUE.index.find(ids)
    assert (rows >= 0).all()
    return rows


def allowed_rows(user_id, raw):
    """The items that may be shown to a user: the law that every answer is held against."""
    types = {name: type(column) for name, column in CATALOGUE.columns.items()}
    bought = purchased(WORLD.fitted.archive.read([user_id], stale=False).of_user(0))
    allowed = ALLOWED.for_request(parse_filter(raw, types), bought)
    return allowed.first(np.arange(len(CATALOGUE), dtype=np.int32), len(CATALOGUE))[0]


def message_of(response):
    [problem] = response.json()["detail"]
    return ".".join(map(str, problem["loc"])), problem["msg"]


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "category": st.lists(
            st.sampled_from([*CATALOGUE.categories.vocabulary.take(range(6)), "no such"]),
            min_size=1,
            max_size=3,
        ),
        "price": st.fixed_dictionaries({"lte": st.integers(0, 200)}),
        "brand": st.fixed_dictionaries({"not_in": st.just(["Ash"])}),
        "item_id": st.fixed_dictionaries(
            {"not_in": st.lists(st.integers(0, 299).map(CATALOGUE.item_ids.at), max_size=30)}
        ),
    },
)


class TestRecommendations:
    @given(user=st.sampled_from([*USERS, "nobody"]), n=st.integers(1, MAX_N), raw=FILTERS)
    @settings(max_examples=60, deadline=None)
    def test_gives_as_many_allowed_items_as_there_are_and_none_twice(self, api, user, n, raw):
        answer = api.ask(user, n=n, filters=raw)

        rows, allowed = rows_of(answer), allowed_rows(user, raw)
        assert len(rows) == min(n, len(allowed))
        assert len(set(rows.tolist())) == len(rows)
        assert set(rows.tolist()) <= set(allowed.tolist())
        assert answer["degraded"] == []

    def test_has_the_fields_of_the_contract(self, api, published):
        answer = api.ask("u000002")

        assert list(answer) == [
            *("user_id", "request_id", "recommendations", "model_used", "model_version"),
            *("cached", "degraded"),
        ]
        assert answer["user_id"] == "u000002"
        assert answer["model_version"] == published[1]
        assert len(answer["recommendations"]) == 10
        assert {frozenset(each) for each in answer["recommendations"]} == {
            frozenset({"item_id", "score", "reason"})
        }

    def test_gives_a_reason_from_what_the_user_did(self, api):
        history = WORLD.fitted.archive.read(USERS, stale=False)
        busiest = int(np.argmax(np.diff(history.offsets)))
        titles = {CATALOGUE.titles.at(int(row)) for row in history.of_user(busiest)["row"]}

        answer = api.ask(USERS[busiest], n=100)

        reasons = {each["reason"] for each in answer["recommendations"]}
        named = {reason.partition("Because you bought ")[2] for reason in reasons} - {""}
        assert named
        assert named <= titles

    def test_an_unknown_user_gets_a_list_that_is_not_degraded(self, api):
        first, second = api.ask("somebody new"), api.ask("somebody else")

        assert first["degraded"] == second["degraded"] == []
        assert rows_of(first).tolist() == rows_of(second).tolist()
        assert len(rows_of(first)) == 10

    def test_a_filter_that_nothing_passes_gives_an_empty_list(self, api):
        assert api.ask(filters={"price": {"lt": 0}})["recommendations"] == []

    def test_empty_filters_are_none(self, api):
        plain = api.ask("u000003", n=7)

        assert rows_of(api.ask("u000003", n=7, filters={})).tolist() == rows_of(plain).tolist()
        assert rows_of(api.ask("u000003", n=7, filters=None)).tolist() == rows_of(plain).tolist()

    def test_answers_with_the_model_that_is_asked_for(self, api):
        main = api.ask("u000004", n=50, model_name="main")
        challenger = api.ask("u000004", n=50, model_name="challenger")

        assert (main["model_used"], challenger["model_used"]) == ("main", "challenger")
        assert rows_of(main).tolist() != rows_of(challenger).tolist()

    def test_requests_that_arrive_together_get_each_their_own_answer(self, open_api):
        api = open_api(NO_CACHE)
        alone = {user: rows_of(api.ask(user)).tolist() for user in USERS[:20]}

        async def together():
            bodies = [{"user_id": user} for user in alone]
            posts = (api.client.post("/recommendations", json=body) for body in bodies)
            return await asyncio.gather(*posts)

        answers = [response.json() for response in api.run(together())]

        assert {each["user_id"]: rows_of(each).tolist() for each in answers} == alone
        sizes = [value for name, _, value in api.counts.observed if name == "recserve_batch_size"]
        assert max(sizes) > 1


class TestMetadata:
    def test_comes_only_when_it_is_asked_for(self, api):
        first = api.ask("u000005", n=3, include_metadata=True)["recommendations"][0]

        assert first["metadata"] == {
            "title": "A title",
            "category": "things",
            "price": 9.5,
            "tags": ["blue"],
            "in_stock": True,
            "avg_rating": 4.5,
            "num_ratings": 12,
            "attributes": {"brand": "Ash"},
        }

    def test_comes_from_the_catalogue_when_the_store_is_down(self, open_api):
        api = open_api(items=down)

        answer = api.ask(n=2, include_metadata=True)

        first = answer["recommendations"][0]
        row = int(CATALOGUE.index.find([first["item_id"]])[0])
        assert answer["degraded"] == ["metadata"]
        assert first["metadata"]["title"] == CATALOGUE.titles.at(row)
        assert first["metadata"]["price"] == pytest.approx(CATALOGUE.number("price")[row])

    def test_is_null_for_an_item_that_the_store_does_not_know(self, open_api):
        async def nothing(_):
            return ReadResult({})

        answer = open_api(items=nothing).ask(n=1, include_metadata=True)

        assert answer["recommendations"][0]["metadata"] is None
        assert answer["degraded"] == []


class TestDegraded:
    @pytest.mark.parametrize(
        ("broken", "named"),
        [
            ({"users": down}, ["features"]),
            ({"candidates": down}, ["candidates"]),
            ({"scorers": {"main": down}}, ["scorer-main"]),
            ({"rank": down}, ["ranker"]),
            (
                {"users": down, "candidates": down, "scorers": {"main": down}, "rank": down},
                ["features", "candidates", "scorer-main", "ranker"],
            ),
        ],
    )
    def test_names_what_was_replaced_and_still_keeps_the_law(self, open_api, broken, named):
        api = open_api(**broken)
        wanted = {"price": {"lte": 30}}

        for user in (USERS[0], USERS[1], "nobody"):
            answer = api.ask(user, n=40, filters=wanted, model_name="main")

            rows, allowed = rows_of(answer), allowed_rows(user, wanted)
            assert sorted(answer["degraded"]) == sorted(named)
            assert len(set(rows.tolist())) == min(40, len(allowed))
            assert set(rows.tolist()) <= set(allowed.tolist())

    def test_a_scorer_that_is_down_does_not_touch_the_other_variant(self, open_api):
        api = open_api(scorers={"main": down})

        assert api.ask(model_name="challenger")["degraded"] == []

    def test_says_that_nothing_has_been_published(self, nothing_published):
        answer = nothing_published.ask()

        assert answer["recommendations"] == []
        assert answer["degraded"] == ["bundle"]
        assert answer["model_version"] == ""


class TestCached:
    def test_is_true_from_the_second_time_on_and_the_list_is_the_same(self, open_api):
        api = open_api()

        first, second = api.ask(n=5), api.ask(n=5)

        assert (first["cached"], second["cached"]) == (False, True)
        assert first["recommendations"] == second["recommendations"]
        assert first["request_id"] != second["request_id"]

    @pytest.mark.parametrize(
        "change",
        [
            {"n": 6},
            {"filters": {"price": {"lte": 20}}},
            {"filters": {"price": {"lte": 30.5}}},
            {"include_metadata": True},
            {"model_name": "challenger"},
            {"user_id": "u000002"},
            {"at": 1_790_000_000},
        ],
        ids=str,
    )
    def test_is_false_for_any_other_question(self, open_api, change):
        api = open_api()
        question = {"user_id": "u000001", "n": 5, "filters": {"price": {"lte": 30}}}
        api.ask(**question)

        assert not api.ask(**{**question, **change})["cached"]
        assert api.ask(**question)["cached"]

    def test_is_true_for_the_same_filter_spelt_otherwise(self, open_api):
        api = open_api()
        api.ask(filters={"category": ["candles", "mugs"], "in_stock": True})

        again = api.ask(filters={"in_stock": {"eq": True}, "category": {"in": ["mugs", "candles"]}})

        assert again["cached"]

    def test_a_degraded_answer_is_not_kept(self, open_api):
        api = open_api(rank=down)

        assert [api.ask()["cached"], api.ask()["cached"]] == [False, False]

    def test_is_false_while_the_cache_is_down(self, open_api):
        cache = BrokenCache()
        api = open_api(cache=cache)

        answers = [api.ask(), api.ask()]

        assert [each["cached"] for each in answers] == [False, False]
        assert [each["degraded"] for each in answers] == [[], []]
        assert cache.asked >= 2

    def test_is_false_when_it_is_switched_off(self, open_api):
        cache = BrokenCache()
        api = open_api(NO_CACHE, cache=cache)

        assert [api.ask()["cached"], api.ask()["cached"]] == [False, False]
        assert cache.asked == 0

    def test_hits_are_counted(self, open_api):
        api = open_api()

        api.ask()
        api.ask()
        api.ingress.telemetry.flush(0)

        assert api.counts.counters["recserve_cache_requests_total", ("hit",)] == 1
        assert api.counts.counters["recserve_cache_requests_total", ("miss",)] == 1


KNOWN_FIELDS = ", ".join(sorted([*STANDARD_COLUMNS, "brand", "item_id"]))
TEXT = "must be text of at most 128 characters, or a list of them"
DEEP = b'{"user_id": "u", "filters": {"category": %s"x"%s}}' % (b"[" * 300, b"]" * 300)
EPOCH_SECONDS = "must be a number of epoch seconds from 0 to 7258118400, and not of milliseconds"
INVALID = [
    ({}, "body.user_id", "must be text of 1 to 128 characters"),
    ({"user_id": 5}, "body.user_id", "must be text of 1 to 128 characters"),
    ({"user_id": ""}, "body.user_id", "must be text of 1 to 128 characters"),
    ({"user_id": "x" * 129}, "body.user_id", "must be text of 1 to 128 characters"),
    (b'{"user_id": "\\ud800"}', "body.user_id", "must be text of 1 to 128 characters"),
    ({"n": 0}, "body.n", "must be a whole number from 1 to 100"),
    ({"n": 101}, "body.n", "must be a whole number from 1 to 100"),
    ({"n": "5"}, "body.n", "must be a whole number from 1 to 100"),
    ({"n": 5.0}, "body.n", "must be a whole number from 1 to 100"),
    ({"n": True}, "body.n", "must be a whole number from 1 to 100"),
    ({"n": float("nan")}, "body.n", "must be a whole number from 1 to 100"),
    ({"n": None}, "body.n", "must be a whole number from 1 to 100"),
    ({"include_metadata": "yes"}, "body.include_metadata", "must be true or false"),
    ({"at": "now"}, "body.at", EPOCH_SECONDS),
    ({"at": -1}, "body.at", EPOCH_SECONDS),
    ({"at": True}, "body.at", EPOCH_SECONDS),
    ({"at": 1_790_000_000_000}, "body.at", EPOCH_SECONDS),
    (b'{"user_id": "u", "at": 1e999}', "body.at", EPOCH_SECONDS),
    ({"model_name": "best"}, "body.model_name", "must be one of: main, challenger"),
    ({"model_name": ""}, "body.model_name", "must be one of: main, challenger"),
    ({"N": 5}, "body.N", "known are user_id, n, filters, model_name, include_metadata, at"),
    ({"filters": []}, "body.filters", "must be an object"),
    ({"filters": {"colour": 1}}, "body.filters.colour", f"known are {KNOWN_FIELDS}"),
    ({"filters": {"\ud800": 1}}, "body.filters.?", f"known are {KNOWN_FIELDS}"),
    ({"filters": {"category": "\ud800"}}, "body.filters.category", TEXT),
    ({"filters": {"category": None}}, "body.filters.category", TEXT),
    (
        {"filters": {"price": {"lte": float("nan")}}},
        "body.filters.price.lte",
        "must be a finite number",
    ),
    (
        {"filters": {"price": {"about": 5}}},
        "body.filters.price.about",
        "known are in, eq, not_in, gt, gte, lt, lte",
    ),
    ({"filters": {"in_stock": 1}}, "body.filters.in_stock", "must be true or false"),
    (
        {"filters": {"item_id": {"not_in": ["x"] * 1_001}}},
        "body.filters",
        "at most 1000 values",
    ),
    ({"filters": {str(i): 1 for i in range(21)}}, "body.filters", "at most 20 conditions"),
    (DEEP, "body.filters.category", TEXT),
    (b'{"user_id": ', "body.12", NO_OBJECT),
    (b"", "body", NO_OBJECT),
    (b"[]", "body", NO_OBJECT),
    (b"null", "body", NO_OBJECT),
    (b'{"user_id": "\xff"}', "body", NO_OBJECT),
    (b'{"user_id": "u", "n": %s}' % (b"9" * 5_000), "body", NO_OBJECT),
    (b'{"user_id": "u", "filters": %s1%s}' % (b'{"a":' * 30_000, b"}" * 30_000), "body", NO_OBJECT),
]


class TestInvalid:
    @pytest.mark.parametrize(("body", "where", "allowed"), INVALID)
    def test_says_where_and_what_is_allowed(self, api, body, where, allowed):
        if isinstance(body, dict) and body and "user_id" not in body:
            body = {"user_id": "u000001", **body}

        response = api.post(body)

        assert response.status_code == 422
        location, message = message_of(response)
        assert location == where
        assert allowed in message

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
    def test_says_which_content_type_it_reads(self, api, kind):
        response = api.post({"user_id": "u"}, headers={"content-type": kind})

        assert response.status_code == 422
        assert message_of(response) == ("body", NO_OBJECT)

    def test_does_not_send_the_input_back(self, api):
        response = api.post({"user_id": "u", "n": "a secret"})

        assert "secret" not in response.text

    def test_is_counted(self, open_api):
        api = open_api()
        api.post({})
        api.post({"user_id": "u", "model_name": "best"})
        api.post(b"\xff")

        api.ingress.telemetry.flush(0)

        assert api.counts.counters["recserve_requests_total", ("none", "invalid")] == 3


class TestOtherErrors:
    def test_404_for_a_path_that_there_is_not(self, api):
        assert api.get("/recommendation").status_code == 404

    def test_405_says_which_method_is_allowed(self, api):
        response = api.get("/recommendations")

        assert response.status_code == 405
        assert response.headers["allow"] == "POST"

    @pytest.mark.parametrize("chunked", [False, True])
    def test_413_for_a_body_that_is_too_long(self, api, chunked):
        async def chunks():
            for _ in range(300):
                yield b" " * 1_000

        response = api.post(content=chunks() if chunked else b" " * 300_000)

        assert response.status_code == 413
        assert ("content-length" in response.request.headers) is not chunked
        assert response.json() == {"detail": "the body may have at most 262144 bytes"}

    @pytest.mark.parametrize("kind", ["application/json", "application/vnd.shop+json"])
    def test_429_says_when_to_come_again(self, open_api, kind):
        queue = {"max_in_flight": 1, "max_batch": 1, "max_waiting": 1, "retry_after_s": 7}
        patient = {"candidates_s": 60}
        config = AppConfig.model_validate(
            {"result_cache": {"enabled": False}, "coalescing": queue, "deadlines": patient}
        )
        released = asyncio.Event()

        async def blocked(_):
            await released.wait()
            return await down(_)

        api = open_api(config, candidates=blocked)

        async def scenario():
            posts = [
                asyncio.create_task(
                    api.client.post(
                        "/recommendations", json={"user_id": user}, headers={"content-type": kind}
                    )
                )
                for user in USERS[:4]
            ]
            refused: set[asyncio.Task[httpx2.Response]] = set()
            while len(refused) < 2:
                done, _ = await asyncio.wait(
                    set(posts) - refused, return_when=asyncio.FIRST_COMPLETED
                )
                refused |= done
            released.set()
            await asyncio.wait(posts)
            return [task.result() for task in refused], [
                task.result() for task in posts if task not in refused
            ]

        refused, answered = api.run(scenario())

        assert [response.status_code for response in refused] == [429, 429]
        assert refused[0].headers["retry-after"] == "7"
        assert refused[0].json() == {"detail": "too many requests are waiting: try again in 7 s"}
        assert [response.status_code for response in answered] == [200, 200]
        api.ingress.telemetry.flush(0)
        assert api.counts.counters["recserve_requests_total", ("none", "shed")] == 2

    def test_500_tells_the_log_what_happened_and_the_caller_nothing(self, open_api):
        api = open_api(candidates=bug)

        with logged("ray.serve.recserve.http") as records:
            response = api.post({"user_id": "u"}, headers={"x-request-id": "r-1"})

        assert response.status_code == 500
        assert response.json() == {"detail": "an internal error, logged as r-1"}
        [record] = records
        assert record.getMessage() == "request r-1 failed"
        assert record.exc_info[0] is ZeroDivisionError

    def test_a_bug_in_one_batch_does_not_stop_the_next(self, open_api):
        answers = iter([bug, down])

        async def candidates(batch):
            return await next(answers)(batch)

        api = open_api(candidates=candidates)

        assert api.post({"user_id": "u"}).status_code == 500
        assert api.post({"user_id": "u"}).status_code == 200


class TestSimilar:
    def test_gives_as_many_others_as_are_asked_for(self, api, published):
        item_id = CATALOGUE.item_ids.at(0)

        found = api.get(f"/items/{item_id}/similar", params={"n": 30}).json()

        ids = [each["item_id"] for each in found["similar"]]
        assert found["item_id"] == item_id
        assert found["model_version"] == published[1]
        assert len(set(ids)) == 30
        assert item_id not in ids
        assert CATALOGUE.in_stock[CATALOGUE.index.find(ids)].all()

    def test_gives_ten_unless_told(self, api):
        assert len(api.get(f"/items/{CATALOGUE.item_ids.at(1)}/similar").json()["similar"]) == 10

    def test_404_names_the_item_that_there_is_not(self, api):
        response = api.get("/items/no such/similar")

        assert response.status_code == 404
        assert response.json() == {"detail": "item 'no such' is not in the catalogue"}

    def test_an_id_may_hold_slashes(self, api):
        response = api.get("/items/a%2Fb/similar")

        assert response.json() == {"detail": "item 'a/b' is not in the catalogue"}

    @pytest.mark.parametrize("n", ["0", "101", "many"])
    def test_422_for_a_number_that_is_not_allowed(self, api, n):
        assert api.get("/items/x/similar", params={"n": n}).status_code == 422

    def test_404_while_nothing_is_published(self, nothing_published):
        assert nothing_published.get("/items/x/similar").status_code == 404


class TestOrderedByPopularity:
    def test_names_popularity_whatever_the_variant_and_lists_popular_items(self, tmp_path):
        contents = replace(contents_of(), order="popularity")
        version = publish(str(tmp_path), contents, created_at=1.0).version
        plain = {"diversity": {"mmr_lambda": 1.0, "max_per_category": None}}
        config = AppConfig.model_validate({"ranking": plain, "deadlines": PATIENT})

        with Api(tmp_path, config) as opened:
            opened.until_in_use(version)
            asked = [opened.ask(n=5, model_name="challenger") for _ in range(2)]

        assert [answer["model_used"] for answer in asked] == ["popularity"] * 2
        assert [answer["cached"] for answer in asked] == [False, True]
        assert asked[0]["degraded"] == []
        found = CATALOGUE.index.find([item["item_id"] for item in asked[0]["recommendations"]])
        popularity = CATALOGUE.number("popularity")[found]
        assert (np.diff(popularity) <= 0).all()


class TestProbes:
    def test_health_says_what_is_served(self, api, published):
        version = published[1]

        health = api.get("/health").json()

        catalogue = health.pop("catalogue")
        assert (catalogue["revision"], catalogue["items_without_row"]) == (0, 0)
        assert catalogue["age_s"] < 60
        assert health == {
            "status": "ok",
            "faults": [],
            "models": {"main": version, "challenger": version},
            "weights": {"main": 1.0, "challenger": 0.0},
            "bundle": version,
            "silent_stores": {},
            "last_fit": {"succeeded_at": None, "failed_at": None, "failure": ""},
        }

    @pytest.mark.parametrize("path", ["/health", "/ready"])
    def test_a_probe_may_leave_out_the_body(self, nothing_published, path):
        with_body = nothing_published.get(path)
        without = nothing_published.run(nothing_published.client.head(path))

        assert without.status_code == with_body.status_code
        assert without.headers["content-length"] == with_body.headers["content-length"]

    def test_health_is_fine_before_anything_is_published(self, nothing_published):
        response = nothing_published.get("/health")

        assert response.status_code == 200
        assert response.json()["status"] == "no bundle"
        assert response.json()["models"] == {"main": None, "challenger": None}

    def test_ready_says_what_is_missing(self, nothing_published):
        response = nothing_published.get("/ready")

        assert response.status_code == 503
        assert response.json() == {
            "ready": False,
            "missing": ["bundle: publish one with `recserve fit`"],
            "faults": [],
        }

    def test_ready_once_every_stage_has_answered(self, open_api):
        api = open_api()
        api.until(lambda: not api.ingress.missing())

        response = api.get("/ready")

        assert response.status_code == 200
        assert response.json() == {"ready": True, "missing": [], "faults": []}

    def test_the_root_leads_to_the_documentation(self, api):
        answer = api.get("/")

        assert answer.status_code == 307
        assert api.get(answer.headers["location"]).status_code == 200

    def test_openapi_describes_every_route_with_examples(self, api):
        described = api.get("/openapi.json").json()

        assert set(described["paths"]) == {
            *("/recommendations", "/items/{item_id}/similar", "/events", "/health", "/ready"),
            *("/items", "/items/{item_id}", "/users/{user_id}"),
        }
        assert all(
            operation["summary"]
            for path in described["paths"].values()
            for operation in path.values()
        )
        responses = described["paths"]["/recommendations"]["post"]["responses"]
        assert set(responses) == {"200", "413", "422", "429"}
        responses = described["paths"]["/events"]["post"]["responses"]
        assert set(responses) == {"202", "413", "422", "429", "503"}
        schemas = described["components"]["schemas"]
        assert schemas["RecommendationsRequest"]["properties"]["n"]["maximum"] == MAX_N
        assert {name for name, schema in schemas.items() if "examples" in schema} == {
            *(
                "RecommendationsRequest",
                "Recommendations",
                "Similar",
                "EventsStored",
                "ItemsStored",
            ),
        }
        assert api.get("/docs").status_code == 200

    def test_the_documented_question_is_answered_as_documented(self, api):
        schemas = api.get("/openapi.json").json()["components"]["schemas"]
        [question] = schemas["RecommendationsRequest"]["examples"]
        [documented] = schemas["Recommendations"]["examples"]

        answer = api.ask(**question)

        assert set(answer) == set(documented) == set(schemas["Recommendations"]["properties"])


class TestRequestId:
    def test_the_callers_own_is_taken_over(self, api):
        response = api.post({"user_id": "u"}, headers={"x-request-id": "checkout-42"})

        assert response.json()["request_id"] == "checkout-42"

    @pytest.mark.parametrize("unfit", ["x" * 129, "caf\u00e9", "a\tb", ""])
    def test_one_that_is_unfit_for_a_log_is_replaced(self, api, unfit):
        response = api.post({"user_id": "u"}, headers={"x-request-id": unfit.encode("latin-1")})

        given = response.json()["request_id"]
        assert given != unfit
        assert len(given) == 32


class TestAccessLog:
    def test_is_one_json_object_per_request_without_the_user_in_clear(self, open_api):
        api = open_api()
        with logged("ray.serve.recserve.access") as records:
            api.post({"user_id": "u000007", "n": 3}, headers={"x-request-id": "r-7"})
            api.ask("u000007", n=3, filters={"price": {"lte": 20}})
            api.ask("u000007", n=3)

        lines = [json.loads(record.getMessage()) for record in records]
        assert "u000007" not in "".join(record.getMessage() for record in records)
        assert len({line["user"] for line in lines}) == 1
        assert [line["cached"] for line in lines] == [False, False, True]
        assert [line["filtered"] for line in lines] == [False, True, False]
        assert [line["n_items"] for line in lines] == [3, 3, 3]
        assert lines[0]["request_id"] == "r-7"
        assert set(lines[0]) == {
            *("request_id", "user", "n", "n_items", "filtered", "variant", "version"),
            *("cached", "degraded", "duration_ms"),
        }
