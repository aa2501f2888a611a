"""Posts events while lists are asked for: `python -m benchmarks.event_rate --rate 100`.

Needs a running service. Lists are asked for in an open loop: alone, then while events are posted in
another open loop, and in turns, because the machine may be busy with other things.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from benchmarks.figures import quantiles_ms
from benchmarks.machine import facts
from benchmarks.markdown import Section, Table
from benchmarks.open_loop import LoadGenerator, OpenRun, bodies_of, poisson_schedule
from serve_app.cli.options import config_option, workplace_of
from serve_app.demo.demo_ids import demo_item_id

N_USERS, N_ITEMS = 20_000, 5_000
TYPES = ("view", "view", "view", "click", "cart", "purchase")


@dataclass
class Measured:
    """Lists that were asked for alone and beside events, and the posts of these events."""

    alone: list[OpenRun] = field(default_factory=list)
    beside: list[OpenRun] = field(default_factory=list)
    posts: list[OpenRun] = field(default_factory=list)


async def measure(
    url: str, rate: float, events: float, per_post: int, seconds: float, rounds: int
) -> Measured:
    """
    Args:
        rate: lists per second.
        events: events per second.
        per_post: events of one post.
        seconds: duration of each half of a round.
    """
    rng = np.random.default_rng(1)
    measured = Measured()
    for _ in range(rounds):
        measured.alone.append(await _lists(url, rate, seconds, rng))
        posts_due = poisson_schedule(events / per_post, seconds, rng)
        bodies = _posts(len(posts_due), per_post, rng)
        posts = LoadGenerator(f"{url}/events", bodies, good_status=202)
        beside, posted = await asyncio.gather(
            _lists(url, rate, seconds, rng), posts.run(events / per_post, posts_due)
        )
        measured.beside.append(beside)
        measured.posts.append(posted)
    return measured


async def _lists(url: str, rate: float, seconds: float, rng: np.random.Generator) -> OpenRun:
    # Users who never asked before, in any run: no answer comes from the cache.
    due, prefix = poisson_schedule(rate, seconds, rng), os.urandom(6).hex()
    bodies = bodies_of([f"asker-{prefix}-{i}" for i in range(max(1, len(due)))])
    return await LoadGenerator(f"{url}/recommendations", bodies).run(rate, due)


def _posts(n: int, per_post: int, rng: np.random.Generator) -> list[bytes]:
    prefix = os.urandom(6).hex()
    users, items = rng.integers(0, N_USERS, (n, per_post)), rng.integers(0, N_ITEMS, (n, per_post))
    return [
        json.dumps(
            [
                {
                    "event_id": f"{prefix}-{i}-{j}",
                    "user_id": f"poster-{users[i, j]}",
                    "item_id": demo_item_id(items[i, j]),
                    "type": TYPES[(i + j) % len(TYPES)],
                }
                for j in range(per_post)
            ]
        ).encode()
        for i in range(max(1, n))
    ]


@click.command()
@click.option("--rate", type=float, required=True, help="Lists per second: half of the capacity.")
@click.option("--events", type=float, default=2_000, help="Events per second.")
@click.option("--per-post", type=click.IntRange(1, 1_000), default=20, help="Events of one post.")
@click.option("--seconds", type=float, default=10, help="Duration of each half of a round.")
@click.option(
    "--rounds", type=click.IntRange(1), default=3, help="Rounds: without and with events."
)
@click.option("--out", type=click.Path(path_type=Path), help="File of the page.")
@config_option
def main(
    config: Path, rate: float, events: float, per_post: int, seconds: float, rounds: int,
    out: Path | None,
) -> None:  # fmt: skip
    """Measure durable events per second, and what they cost lists that are asked for beside."""
    url = workplace_of(config).http.url
    measured = asyncio.run(measure(url, rate, events, per_post, seconds, rounds))
    page = _page(measured, rate, events, per_post)
    click.echo(page)
    if out is not None:
        out.write_text(page)


def _page(measured: Measured, rate: float, events: float, per_post: int) -> str:
    n_stored = sum(run.statuses.get(202, 0) for run in measured.posts) * per_post
    took_s = sum(run.duration_s for run in measured.posts)
    n_other = sum(n for run in measured.posts for code, n in run.statuses.items() if code != 202)
    alone, beside = _latency(measured.alone), _latency(measured.beside)
    posts = _latency(measured.posts)
    rows = [
        ["durable events per second", f"{n_stored / took_s:,.0f} of {events:,.0f} sent"],
        ["posts without 202", f"{n_other:,}"],
        ["acknowledgement, p50 and p99 in ms", f"{posts['p50']:.0f} and {posts['p99']:.0f}"],
        ["lists alone, p50 and p99 in ms", f"{alone['p50']:.0f} and {alone['p99']:.0f}"],
        ["lists beside events, p50 and p99 in ms", f"{beside['p50']:.0f} and {beside['p99']:.0f}"],
        ["p99 beside events, in parts of p99 alone", f"{beside['p99'] / alone['p99']:.2f}"],
        ["degraded lists alone, and beside events", _degraded(measured)],
    ]
    about = f"{rate:g} uncached lists per second, and posts of {per_post} events each."
    section = Section("Events per second", [about, Table(["", "measured"], rows)])
    return f"# Events beside lists\n\n{facts()}\n\n{section}\n"


def _latency(runs: Sequence[OpenRun]) -> dict[str, float]:
    return quantiles_ms([latency_s for run in runs for latency_s in run.latencies_s])


def _degraded(measured: Measured) -> str:
    alone, beside = (
        sum(run.n_degraded for run in runs) for runs in (measured.alone, measured.beside)
    )
    return f"{alone:,} and {beside:,}"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.event_rate")
