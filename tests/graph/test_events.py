"""Tests that what users do counts in their next answer, whatever happens to the writer."""

import os
import signal
import threading
import time

from serve_app.operations.workplace import open_workplace
from tests.support.real_serve import ROOT, until


def post(service, events):
    return service.http.post("/events", json=events)


def listed(service, user_id):
    answer = service.ask_whole(user_id, n=20, model_name="main")
    return [each["item_id"] for each in answer["recommendations"]], answer["request_id"]


def stored_ids(home, prefix):
    environment = {**os.environ, "RECSERVE_HOME": str(home)}
    workplace = open_workplace(ROOT / "serve_config.yaml", environment, ROOT)
    with workplace.database() as conn:
        rows = conn.execute(
            "SELECT event_id FROM interactions WHERE event_id LIKE %s", (f"{prefix}%",)
        ).fetchall()
    return [event_id for (event_id,) in rows]


def test_a_bought_item_is_gone_from_the_next_answer_until_it_is_returned(service):
    user_id = f"buyer-{time.time_ns()}"
    before, request_id = listed(service, user_id)
    event = {"user_id": user_id, "item_id": before[0], "request_id": request_id, "position": 0}

    bought = post(service, {**event, "type": "purchase"})
    assert (bought.status_code, bought.json()["accepted"]) == (202, 1)
    assert bought.json()["visible"] == "now"
    assert before[0] not in listed(service, user_id)[0]

    post(service, {**event, "type": "return"})
    assert before[0] in listed(service, user_id)[0]


def test_every_acknowledged_event_is_there_once_after_the_writer_was_killed(service):
    prefix = f"killed-{time.time_ns()}"
    acknowledged, n_refused, stop = [], 0, threading.Event()

    def post_on(worker):
        nonlocal n_refused
        n = 0
        while not stop.is_set():
            ids = [f"{prefix}-{worker}-{n}-{i}" for i in range(5)]
            events = [
                {"event_id": id_, "user_id": f"{prefix}-{i}", "item_id": f"new-{n}", "type": "view"}
                for i, id_ in enumerate(ids)
            ]
            status = post(service, events).status_code
            # Not acknowledged: the same body is sent again, as a client would.
            if status == 202:
                acknowledged.extend(ids)
                n += 1
            else:
                assert status in (429, 503), status
                n_refused += 1

    workers = [threading.Thread(target=post_on, args=(worker,)) for worker in range(3)]
    for worker in workers:
        worker.start()
    try:
        until(lambda: len(acknowledged) > 100, "events that are acknowledged")
        [pid] = service.replicas()["ShopWriter"].values()
        os.kill(pid, signal.SIGKILL)
        until(lambda: set(service.replicas()["ShopWriter"].values()) - {pid}, "another writer", 90)
        n = len(acknowledged)
        until(lambda: len(acknowledged) > n + 100, "further events")
    finally:
        stop.set()
        for worker in workers:
            worker.join()

    stored = stored_ids(service.home, prefix)
    assert len(stored) == len(set(stored))
    assert sorted(set(acknowledged) - set(stored)) == []
