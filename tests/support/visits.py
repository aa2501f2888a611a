"""Gives tests of next items a small random log of visits, split and ready to fit."""

from functools import cache

import numpy as np

from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.labels import LabelConfig
from serve_app.next_items.next_lists import NextSide
from serve_app.next_items.next_protocol import NextProtocolConfig, split_sessions
from serve_app.next_items.next_questions import Prefixes, prefixes
from serve_app.next_items.next_training import training_of, with_background
from tests.support.hand_made_logs import log_of

N_ITEMS = 8
N_USERS = 12
MINUTE_DAYS = 1 / (24 * 60)
CATEGORIES = np.arange(N_ITEMS) % 3


def random_events(seed: int = 5) -> list[tuple[str, int, str, float]]:
    """Two sessions of each user, of one to six clicks on items that follow one another often."""
    rng = np.random.default_rng(seed)
    events = []
    for visit in range(2 * N_USERS):
        item = int(rng.integers(N_ITEMS))
        for step in range(int(rng.integers(1, 7))):
            day = 1 + visit + step * MINUTE_DAYS
            events.append((f"u{visit % N_USERS:02}", item, "click", day))
            item = (item + int(rng.integers(0, 3))) % N_ITEMS
    return events


def random_log(seed: int = 5) -> InteractionLog:
    return log_of(*random_events(seed))


@cache
def side(*, repeats: bool = True) -> NextSide:
    """The split of the random log, with the popularity of a week as the background."""
    config = NextProtocolConfig(min_buyers=1, test_share=0.3, label=LabelConfig(repeats=repeats))
    split = split_sessions(random_log(), config)
    return NextSide(split, with_background(training_of(split, CATEGORIES), 7.0))


def all_prefixes() -> Prefixes:
    split = side().split
    return prefixes(split.log, split.questions, slice(0, len(split.questions)))


def known_items(unit: str) -> list[list[int]]:
    """Known items of each question, latest first."""
    return [[item for item in row if item >= 0] for row in all_prefixes().of(unit).tolist()]


def visits_of(unit: str) -> list[list[int]]:
    """Items of each training visit in their order."""
    training = side().training
    numbers = training.visits(unit).tolist()
    found: dict[int, list[int]] = {}
    for number, item in zip(numbers, training.items.tolist(), strict=True):
        found.setdefault(number, []).append(item)
    return list(found.values())


def scores_of(rival, point):
    """Scores of all questions at a point, float64, shape (n, n_items)."""
    [score] = rival.fit(side().training, [point])
    return np.asarray(score(all_prefixes()), float)
