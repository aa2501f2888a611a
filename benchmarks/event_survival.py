"""Kills parts while events are posted: `python -m benchmarks.event_survival`.

Needs a service that `recserve run` started with embedded stores. Every post that was not
acknowledged is sent again with the same body. At the end every acknowledged event must be stored
once.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Lock
from typing import Any

import click
import httpx2
import psutil

from benchmarks.clients import busy_clients
from benchmarks.machine import facts
from benchmarks.markdown import Section, Table
from serve_app.cli.options import config_option, workplace_of
from serve_app.operations.workplace import Workplace

PARTS = {
    "ShopWriter": ("ServeReplica:recserve:ShopWriter", signal.SIGKILL),
    "Ingress": ("ServeReplica:recserve:Ingress", signal.SIGKILL),
    "Redis": ("valkey-server", signal.SIGKILL),
    # An immediate shutdown: PostgreSQL starts again from its log.
    "PostgreSQL": ("/bin/postgres -D", signal.SIGQUIT),
}
"""What is killed: a part of the command line, and the signal."""

_AT = 1_750_000_000.0
_MOST_TRIES = 400
_PAUSE_S = 0.25


@dataclass
class Posted:
    """What was posted, of all threads together.

    Attributes:
        acknowledged: user, item and time of every acknowledged event.
    """

    acknowledged: list[tuple[str, str, float]] = field(default_factory=list)
    n_lost: int = 0
    n_tries: int = 0
    visible: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


@contextmanager
def posting(url: str, items: Sequence[str], n_threads: int) -> Iterator[Posted]:
    """Posts events with ``n_threads`` connections until the block ends."""
    posted, lock, numbers = Posted(), Lock(), count()

    def post(http: httpx2.Client, over: Event) -> None:
        with lock:
            number = next(numbers)
        _post_until_stored(http, _events(number, items), posted, lock, over)

    with busy_clients(url, n_threads, 15, post):
        yield posted


def _events(number: int, items: Sequence[str]) -> list[dict[str, Any]]:
    rng = random.Random(number)
    events = []
    for i in range(rng.randint(1, 20)):
        event = {
            "user_id": f"survivor{rng.randrange(500):04d}",
            "item_id": rng.choice(items),
            "type": "click",
            # Unique: events without an id are told apart by their content.
            "timestamp": _AT + number + i / 32,
        }
        if number % 2:
            event["event_id"] = f"survival-{number}-{i}"
        events.append(event)
    return events


def _post_until_stored(
    http: httpx2.Client, events: list[dict[str, Any]], posted: Posted, lock: Lock, over: Event
) -> None:
    began_s = time.perf_counter()
    for _ in range(_MOST_TRIES):
        with lock:
            posted.n_tries += 1
        try:
            answer = http.post("/events", json=events)
        except httpx2.TransportError:
            answer = None
        if answer is not None and answer.status_code == 202:
            with lock:
                posted.visible[answer.json()["visible"]] += len(events)
                posted.seconds.append(time.perf_counter() - began_s)
                posted.acknowledged += [
                    (event["user_id"], event["item_id"], event["timestamp"]) for event in events
                ]
            return
        over.wait(_PAUSE_S)
    with lock:
        posted.n_lost += len(events)


def kill(part: str, home: Path) -> bool:
    """Kills one process of a part; tells whether there was one."""
    words, number = PARTS[part]
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        is_store = part in ("Redis", "PostgreSQL")
        if words in line and (not is_store or str(home) in line):
            os.kill(process.pid, number)
            return True
    return False


def missing(
    workplace: Workplace, acknowledged: Sequence[tuple[str, str, float]]
) -> tuple[int, int]:
    """Acknowledged events that are not stored, and those that are stored more than once."""
    with workplace.database() as conn:
        stored = Counter(
            (user, item, float(at))
            for user, item, at in conn.execute(
                "SELECT user_id, item_id, date_part('epoch', at) FROM interactions"
                " JOIN item_features USING (item_row) WHERE user_id LIKE 'survivor%'"
            )
        )
    return (
        sum(event not in stored for event in acknowledged),
        sum(n > 1 for n in stored.values()),
    )


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, help="Duration.")
@click.option("--every", "every_s", type=click.FloatRange(0.5), default=2.0, help="Seconds apart.")
@click.option("--connections", type=click.IntRange(1), default=8, help="Connections that post.")
@click.option("--out", type=click.Path(path_type=Path), help="File of the page.")
@config_option
def main(config: Path, minutes: float, every_s: float, connections: int, out: Path | None) -> None:
    """Kill parts of a running service in turns while events are posted, and count the events."""
    workplace = workplace_of(config)
    with workplace.database() as conn:
        rows = conn.execute("SELECT item_id FROM item_features ORDER BY 1 LIMIT 200").fetchall()
        conn.execute("DELETE FROM interactions WHERE user_id LIKE 'survivor%'")
    killed: Counter[str] = Counter()
    rng, pause = random.Random(1), Event()
    end_s = time.monotonic() + 60 * minutes
    with posting(workplace.http.url, [row[0] for row in rows], connections) as posted:
        while time.monotonic() < end_s:
            part = rng.choice(list(PARTS))
            killed[part] += kill(part, workplace.location.home)
            pause.wait(every_s)
    n_missing, n_twice = missing(workplace, posted.acknowledged)
    slowest = sorted(posted.seconds)
    rows_of_table = [
        ["killed", ", ".join(f"{part} {n}" for part, n in sorted(killed.items()))],
        ["acknowledged events", f"{len(posted.acknowledged):,}"],
        ["of them not stored", f"{n_missing}"],
        ["stored twice", f"{n_twice}"],
        ["given up", f"{posted.n_lost}"],
        ["posts, and tries of them", f"{len(slowest):,} and {posted.n_tries:,}"],
        ["visible", ", ".join(f"{word}: {n:,}" for word, n in posted.visible.most_common())],
        ["seconds until a post was acknowledged, median", f"{slowest[len(slowest) // 2]:.2f}"],
        ["seconds until a post was acknowledged, longest", f"{slowest[-1]:.1f}"],
    ]
    section = Section("Events under kills", [Table(["", "measured"], rows_of_table)])
    page = f"# Events survive\n\n{facts()}\n\n{section}\n"
    click.echo(page)
    if out is not None:
        out.write_text(page)
    if n_missing or n_twice:
        raise click.ClickException("acknowledged events were lost or stored twice")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.event_survival")
