"""Runs a simulation: days of visits, whose events go back to the service, and fits in between."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter

import numpy as np

from serve_app.demo.demo_shop import DemoConfig, make_demo
from serve_app.simulation.choice_model import Visit
from serve_app.simulation.crowd import GROUPS, Crowd, make_crowd
from serve_app.simulation.popular_lists import PopularLists, listed_of, purchases_of
from serve_app.simulation.shop_service import Event, Listed, ShopService
from serve_app.simulation.visits import Outcome, day_start, draw_visits, go_through

POPULAR, LIVE = GROUPS.index("popular"), GROUPS.index("live")


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """The size and the seed of a simulation.

    Attributes:
        demo: the shop that the service serves.
        newcomer_share: share of the visits by shoppers whom the shop does not know.
        visits_per_newcomer: mean number of visits of a newcomer.
        fit_days: days between two fits; 0 fits never.
        n_threads: shoppers who visit at the same time.
    """

    demo: DemoConfig = field(default_factory=DemoConfig)
    n_days: int = 7
    visits_per_day: int = 2_000
    newcomer_share: float = 0.3
    visits_per_newcomer: float = 3.0
    fit_days: int = 1
    seed: int = 11
    n_threads: int = 64

    @property
    def n_newcomers(self) -> int:
        n_visits = self.n_days * self.visits_per_day * self.newcomer_share
        return round(n_visits / self.visits_per_newcomer)


@dataclass(frozen=True, slots=True)
class Day:
    """What came of a day.

    Attributes:
        groups: shape (n_visits,), position in ``GROUPS`` by visit.
        seconds: that the visits took, without reports at the end of the day and fits.
    """

    outcomes: Sequence[Outcome]
    groups: Sequence[int]
    seconds: float


Progress = Callable[[str, float], None]


def simulate(
    config: SimulationConfig, service: ShopService, fit: Callable[[], None], progress: Progress
) -> Iterator[Day]:
    """Simulates day after day.

    Args:
        fit: fits what was reported, and returns when the service uses the result.
        progress: is told the day and the share of the days that are done.

    Raises:
        ServiceUnreachable: the service does not answer as it should.
    """
    world = _World.of(config, service)
    for day in range(config.n_days):
        progress(f"day {day + 1}", day / config.n_days)
        yield world.live_through(day)
        if config.fit_days and (day + 1) % config.fit_days == 0 and day + 1 < config.n_days:
            progress(f"fit after day {day + 1}", day / config.n_days)
            fit()
    progress("simulated", 1.0)


@dataclass(frozen=True, slots=True)
class _World:
    config: SimulationConfig
    service: ShopService
    crowd: Crowd
    owned: defaultdict[int, set[int]]
    popular: PopularLists

    @classmethod
    def of(cls, config: SimulationConfig, service: ShopService) -> "_World":
        crowd = make_crowd(config.demo, config.n_newcomers, config.seed)
        shoppers, items, at = purchases_of(make_demo(config.demo).interactions, crowd)
        owned: defaultdict[int, set[int]] = defaultdict(set)
        for shopper, item in zip(shoppers.tolist(), items.tolist(), strict=True):
            owned[shopper].add(item)
        popular = PopularLists(config.demo.n_items)
        popular.add(items, at)
        return cls(config, service, crowd, owned, popular)

    def live_through(self, day: int) -> Day:
        config = self.config
        start_at = day_start(config.demo.end_at, day)
        self.popular.order_at(start_at)
        visits = draw_visits(
            self.crowd, day, start_at, config.visits_per_day, config.newcomer_share, config.seed
        )
        # A shopper's visits follow each other; shoppers are there at the same time.
        by_shopper = [list(group) for _, group in groupby(visits, attrgetter("shopper"))]
        began_s = time.perf_counter()
        with ThreadPoolExecutor(config.n_threads) as threads:
            per_shopper = list(threads.map(self._visit_all, by_shopper))
        seconds = time.perf_counter() - began_s
        outcomes = [outcome for some in per_shopper for outcome in some]
        groups = [int(self.crowd.groups[outcome.shopper]) for outcome in outcomes]
        self._end_day(outcomes, groups)
        return Day(outcomes, groups, seconds)

    def _visit_all(self, visits: Sequence[Visit]) -> list[Outcome]:
        return [self._visit(visit) for visit in visits]

    def _visit(self, visit: Visit) -> Outcome:
        group = self.crowd.groups[visit.shopper]
        owned = self.owned[visit.shopper]
        ask = self._popular_list if group == POPULAR else self._served_list
        tell = self.service.report if group == LIVE else _say_nothing
        asking = partial(ask, visit.shopper)
        return go_through(self.crowd, visit, owned, asking, tell, self.config.seed)

    def _popular_list(self, shopper: int, n: int, _at: float) -> Listed:
        return listed_of(self.crowd, self.popular.top(n, self.owned[shopper]))

    def _served_list(self, shopper: int, n: int, at: float) -> Listed:
        return self.service.recommend(self.crowd.user_id(shopper), n, at)

    def _end_day(self, outcomes: Sequence[Outcome], groups: Sequence[int]) -> None:
        held = [
            event
            for outcome, group in zip(outcomes, groups, strict=True)
            if group != LIVE
            for event in outcome.events
        ]
        self.service.report(held)
        bought = [
            (self.crowd.item(event.item_id), event.timestamp)
            for outcome in outcomes
            for event in outcome.events
            if event.type == "purchase"
        ]
        items, at = zip(*bought, strict=True) if bought else ((), ())
        self.popular.add(np.array(items, np.int32), np.array(at, np.float64))


def _say_nothing(_: list[Event]) -> None:
    """Keeps the events for the end of the day."""
