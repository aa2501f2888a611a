import pytest

from tests.support.real_serve import until

USER = "u000007"


def items_of(answer):
    return [each["item_id"] for each in answer["recommendations"]]


def test_every_stage_takes_part_in_an_answer(service):
    answer = service.ask_whole(USER, n=12, include_metadata=True)

    assert len(set(items_of(answer))) == 12
    assert answer["model_used"] in ("main", "challenger")
    assert answer["model_version"] == service.http.get("/health").json()["bundle"]
    for item in answer["recommendations"]:
        assert item["reason"]
        assert item["metadata"]["title"]
        assert item["metadata"]["attributes"]["brand"]


def test_the_callers_request_id_comes_back_once(service):
    answer = service.http.post(
        "/recommendations", json={"user_id": USER}, headers={"x-request-id": "checkout-42"}
    )

    assert answer.json()["request_id"] == "checkout-42"
    assert answer.headers.get_list("x-request-id") == ["checkout-42"]


def test_personal_reasons_come_from_the_users_own_history(service):
    reasons = {
        each["reason"] for i in range(40) for each in service.ask(f"u{i:06d}")["recommendations"]
    }

    assert any(reason.startswith("Because you bought ") for reason in reasons)
    assert "Popular with people like you" in reasons


def test_the_second_answer_comes_from_the_cache_and_says_so(service):
    body = {"n": 7, "filters": {"price": {"lte": 5_000_000}}}
    first = service.ask_whole(USER, **body)

    second = until(
        lambda: (answer := service.ask(USER, **body))["cached"] and answer, "a cached answer"
    )

    assert second["recommendations"] == first["recommendations"]
    assert first["request_id"] != second["request_id"]
    assert not service.ask(USER, **{**body, "n": 8})["cached"]


@pytest.mark.parametrize("variant", ["main", "challenger"])
def test_a_model_can_be_asked_by_name(service, variant):
    assert service.ask(USER, model_name=variant)["model_used"] == variant


def test_a_user_stays_with_a_variant_and_both_have_users(service):
    used = {i: service.ask(f"u{i:06d}", n=1)["model_used"] for i in range(60)}

    assert set(used.values()) == {"main", "challenger"}
    assert {i: service.ask(f"u{i:06d}", n=2)["model_used"] for i in range(60)} == used


def test_filters_hold_and_the_list_is_full(service):
    answer = service.ask(
        USER, n=20, include_metadata=True, filters={"price": {"gte": 5, "lte": 30}}
    )

    prices = [item["metadata"]["price"] for item in answer["recommendations"]]
    assert len(prices) == 20
    assert all(5 <= price <= 30 for price in prices)


def test_similar_items_of_an_item(service):
    item = items_of(service.ask(USER))[0]

    answer = service.http.get(f"/items/{item}/similar", params={"n": 5}).json()

    others = [each["item_id"] for each in answer["similar"]]
    assert len(set(others)) == 5
    assert item not in others


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"user_id": USER, "n": 0}, "must be a whole number from 1 to 100"),
        ({"user_id": USER, "filters": {"colour": "red"}}, "brand, category"),
        ({"user_id": USER, "model_name": "best"}, "main, challenger"),
        ({"user": USER}, "must be text of 1 to 128 characters"),
    ],
)
def test_an_error_for_bad_input_names_what_is_allowed(service, body, said):
    answer = service.http.post("/recommendations", json=body)

    assert answer.status_code == 422
    assert said in answer.text


def test_a_body_that_is_too_long_is_refused(service):
    answer = service.http.post(
        "/recommendations",
        content=b" " * 300_000,
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 413


def test_the_service_describes_its_routes(service):
    paths = service.http.get("/openapi.json").json()["paths"]

    assert set(paths) == {
        "/recommendations",
        "/events",
        "/items",
        "/items/{item_id}",
        "/items/{item_id}/similar",
        "/users/{user_id}",
        "/health",
        "/ready",
    }
    assert service.http.get("/docs").status_code == 200
