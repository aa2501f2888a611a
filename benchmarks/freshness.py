"""Posts and asks at the same time, and counts broken promises: `python -m benchmarks.freshness`.

Needs a running service with two replicas of Ingress (`recserve scale Ingress --min 2 --max 2`).
Each shopper buys the first item of their list again and again, while others ask for the same user.
Every answer that was asked for after an acknowledgement must lack the items bought by then.
"""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx2
import numpy as np

from benchmarks.machine import facts
from benchmarks.markdown import Section, Table
from serve_app.cli.options import config_option, workplace_of

N_PURCHASES = 12
"""Of one shopper; then a new user comes."""

N_AROUND, N_AFTER = 10, 6
"""Requests that are asked for around a purchase, and at once after its acknowledgement."""

_SIZES = (5, 10)
_SPREAD_S = 0.03
_NO_HISTORY = {"history", "candidates"}
"""Named in ``degraded`` by answers from the archive, which knows no events."""


@dataclass
class Seen:
    """All that happened.

    Attributes:
        n_checked: answers that had at least one acknowledged purchase to lack.
        violations: sentences about answers that broke the promise.
        acknowledged_s: seconds from the post to its acknowledgement.
        n_later: acknowledgements that did not say ``now``.
    """

    n_answers: int = 0
    n_checked: int = 0
    n_cached: int = 0
    n_without_history: int = 0
    n_failed: int = 0
    n_later: int = 0
    violations: list[str] = field(default_factory=list)
    acknowledged_s: list[float] = field(default_factory=list)


@dataclass
class Shopper:
    """One user, and what they are known to have bought."""

    http: httpx2.AsyncClient
    seen: Seen
    user_id: str
    chance: random.Random
    bought: set[str] = field(default_factory=set)

    async def shop(self, n_purchases: int) -> None:
        """Buys until the list is empty or an acknowledgement promises nothing."""
        listed = await self.ask(0)
        for _ in range(n_purchases):
            if not listed or not await self.buy(listed[0]):
                return
            after = await asyncio.gather(*(self.ask(0) for _ in range(N_AFTER)))
            listed = after[-1]

    async def buy(self, item_id: str) -> bool:
        """Posts one purchase while others ask; tells whether it counts from now on."""
        waits_s = [self.chance.uniform(0, _SPREAD_S) for _ in range(N_AROUND + 1)]
        around = [asyncio.create_task(self.ask(wait_s)) for wait_s in waits_s[1:]]
        await asyncio.sleep(waits_s[0])
        event = {"user_id": self.user_id, "item_id": item_id, "type": "purchase"}
        posted_s = time.perf_counter()
        answer = await self.http.post("/events", json=event)
        if is_now := answer.status_code == 202 and answer.json()["visible"] == "now":
            self.seen.acknowledged_s.append(time.perf_counter() - posted_s)
            self.bought.add(item_id)
        elif answer.status_code == 202:
            self.seen.n_later += 1
        else:
            self.seen.n_failed += 1
        await asyncio.gather(*around)
        return is_now

    async def ask(self, after_s: float) -> list[str]:
        """Asks after a while, and checks the answer; empty if there was none."""
        await asyncio.sleep(after_s)
        # Only what was acknowledged before the request left. Few sizes: equal questions, so that
        # answers come from the cache.
        due = frozenset(self.bought)
        body = {"user_id": self.user_id, "n": self.chance.choice(_SIZES)}
        answer = await self.http.post("/recommendations", json=body)
        if answer.status_code != 200:
            self.seen.n_failed += 1
            return []
        return self._checked(answer.json(), due)

    def _checked(self, said: dict[str, Any], due: frozenset[str]) -> list[str]:
        seen, listed = self.seen, [one["item_id"] for one in said["recommendations"]]
        seen.n_answers += 1
        seen.n_cached += said["cached"]
        if _NO_HISTORY.intersection(said["degraded"]):
            seen.n_without_history += 1
            return listed
        seen.n_checked += bool(due)
        if broken := due.intersection(listed):
            source = "cached" if said["cached"] else "computed"
            seen.violations.append(f"{self.user_id}: {sorted(broken)} in a {source} answer")
        return listed


async def measure(url: str, n_checked: int, n_shoppers: int, seed: int) -> Seen:
    """Lets shoppers shop at the same time until enough answers are checked."""
    seen, chance = Seen(), random.Random(seed)
    run = f"law-{time.time_ns():x}"
    limits = httpx2.Limits(max_connections=8 * n_shoppers)

    async def one_after_another(number: int, http: httpx2.AsyncClient) -> None:
        n_users = 0
        while seen.n_checked < n_checked and seen.n_failed < n_checked:
            user_id = f"{run}-{number}-{n_users}"
            n_users += 1
            own_chance = random.Random(chance.random())
            await Shopper(http, seen, user_id, own_chance).shop(N_PURCHASES)

    async with httpx2.AsyncClient(base_url=url, timeout=30, limits=limits) as http:
        await asyncio.gather(*(one_after_another(i, http) for i in range(n_shoppers)))
    return seen


@click.command()
@click.option("--answers", type=click.IntRange(1), default=100_000, help="Answers to check.")
@click.option("--shoppers", type=click.IntRange(1), default=8, help="Users at the same time.")
@click.option("--seed", type=int, default=1, help="Of the pauses and the sizes of the lists.")
@click.option("--out", type=click.Path(path_type=Path), help="File of the page.")
@config_option
def main(config: Path, answers: int, shoppers: int, seed: int, out: Path | None) -> None:
    """Post and ask at the same time, and count answers that lack what was acknowledged."""
    url = workplace_of(config).http.url
    began_s = time.perf_counter()
    seen = asyncio.run(measure(url, answers, shoppers, seed))
    page = _page(seen, time.perf_counter() - began_s)
    click.echo(page)
    if out is not None:
        out.write_text(page)
    sys.exit(bool(seen.violations))


def _page(seen: Seen, took_s: float) -> str:
    rows = [
        ["answers after an acknowledgement", f"{seen.n_checked:,}"],
        ["of all answers, from the cache", f"{seen.n_cached:,} of {seen.n_answers:,}"],
        ["answers that name the archive", f"{seen.n_without_history:,}"],
        ["purchases acknowledged with `now`", f"{len(seen.acknowledged_s):,}"],
        ["purchases acknowledged with `within N s`", f"{seen.n_later:,}"],
        ["requests that failed", f"{seen.n_failed:,}"],
        ["acknowledgement, p50 and p99 in ms", _percentiles(seen.acknowledged_s)],
        ["**bought items in a later list**", f"**{len(seen.violations):,}**"],
    ]
    about = f"{took_s:,.0f} s of shoppers who buy and ask at the same time."
    section = Section("Freshness", [about, Table(["", "measured"], rows), *seen.violations[:20]])
    return f"# Events in the next answer\n\n{facts()}\n\n{section}\n"


def _percentiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "–"
    return " and ".join(f"{value:.0f}" for value in np.percentile(seconds, [50, 99]) * 1e3)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.freshness")
