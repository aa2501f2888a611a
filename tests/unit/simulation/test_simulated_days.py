"""Simulates against a service that answers at random; events and fits are real calls of it."""

import json
from threading import Lock

import numpy as np
import pytest

from serve_app.simulation.crowd import GROUPS, make_crowd
from serve_app.simulation.reward_plot import draw_rewards
from serve_app.simulation.reward_report import as_json, as_text
from serve_app.simulation.rewards import add_up
from serve_app.simulation.shop_service import Listed
from serve_app.simulation.simulated_days import SimulationConfig, simulate
from tests.unit.simulation.conftest import SMALL

CONFIG = SimulationConfig(demo=SMALL, n_days=3, visits_per_day=120, fit_days=2, n_threads=4)


pytestmark = pytest.mark.draws_plots


class RandomService:
    """Answers every user with the same lists of a random order."""

    def __init__(self, crowd):
        order = np.random.default_rng(0).permutation(SMALL.n_items).tolist()
        self.ids = tuple(crowd.item_id(item) for item in order)
        self.lock, self.asked, self.reports = Lock(), [], []

    def recommend(self, user_id, n, at):
        with self.lock:
            self.asked.append(user_id)
        return Listed(self.ids[:n], "answer")

    def report(self, events):
        with self.lock:
            self.reports.append(list(events))


@pytest.fixture(scope="module")
def run():
    crowd = make_crowd(SMALL, CONFIG.n_newcomers, CONFIG.seed)
    service, fits = RandomService(crowd), []
    days = list(simulate(CONFIG, service, lambda: fits.append(1), lambda step, share: None))
    return crowd, service, fits, days


def group_of(crowd, user_id):
    number = int(user_id[-6:])
    return GROUPS[crowd.groups[number + (crowd.n_known if user_id.startswith("visitor") else 0)]]


def test_fits_between_days_only(run):
    assert len(run[2]) == 1


def test_the_popular_group_never_asks_the_service(run):
    crowd, service, _, _ = run

    assert {group_of(crowd, user_id) for user_id in service.asked} == {"nightly", "live"}


def test_only_the_live_group_reports_within_the_day(run):
    crowd, service, _, _ = run

    within = [events for events in service.reports if events and len(events) < 40]
    at_night = [events for events in service.reports if len(events) >= 40]
    assert len(at_night) == CONFIG.n_days
    assert {group_of(crowd, event.user_id) for events in within for event in events} == {"live"}
    assert {group_of(crowd, event.user_id) for events in at_night for event in events} == {
        "popular",
        "nightly",
    }


def test_every_event_is_reported_once(run):
    _, service, _, days = run

    reported = [event.event_id for events in service.reports for event in events]
    happened = [event.event_id for day in days for o in day.outcomes for event in o.events]
    assert sorted(reported) == sorted(happened)
    assert len(set(reported)) == len(reported)


def test_equal_seeds_give_equal_simulations(run):
    crowd = run[0]

    again = list(simulate(CONFIG, RandomService(crowd), lambda: None, lambda step, share: None))

    assert [day.outcomes for day in again] == [day.outcomes for day in run[3]]


def test_rewards_count_visits_and_purchases_by_day_and_group(run):
    rewards = add_up(run[3], SMALL.n_users, seed=1)

    assert rewards.n_visits.sum(axis=1).tolist() == [120, 120, 120]
    assert rewards.n_bought.sum() == sum(len(o.bought) for day in run[3] for o in day.outcomes)
    live_over = rewards.ratios["popular", "all"]
    assert live_over.low <= live_over.mean <= live_over.high
    assert live_over.mean == pytest.approx(rewards.per_visit[2] / rewards.per_visit[0])


def test_the_report_has_every_day_and_the_choice_model(run):
    rewards = add_up(run[3], SMALL.n_users, seed=1)

    text = as_text(rewards)
    assert [line.split()[0] for line in text.splitlines()[2:6]] == ["1", "2", "3", "all"]
    assert "live / popular, newcomers: " in text
    content = json.loads(as_json(rewards, CONFIG))
    assert content["choice_model"]["PATIENCE"] == 0.93
    assert content["settings"]["seed"] == CONFIG.seed
    assert draw_rewards(rewards).startswith(b"\x89PNG")
