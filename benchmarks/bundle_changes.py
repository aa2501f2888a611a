"""Changes the served bundle under load again and again: `python -m benchmarks.bundle_changes`.

Needs a running service and two published versions. Every answer is compared with the list that its
version gave while nothing changed: a list that was made of two bundles equals neither.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from threading import Event, Lock

import click
import httpx2
import psutil

from benchmarks.clients import busy_clients
from benchmarks.machine import facts
from benchmarks.markdown import Section, Table
from benchmarks.stopping import BenchmarkFailed
from serve_app.bundles.promotions import promote
from serve_app.bundles.roots import open_root, read_manifest_at
from serve_app.cli.options import config_option, workplace_of
from serve_app.demo.demo_ids import demo_user_id

N_USERS = 200
_LOOKS = 24
"""``/health`` is asked so often: requests reach the replicas of the ingress at random."""

_SWITCH_S = 60.0


@dataclass
class Seen:
    """What the answers were, of all threads together.

    Attributes:
        odd: user and version, with the list that differs from the one before the changes.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    odd: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """The running service, and the root of its bundles."""

    url: str
    root: str
    numbers: Iterator[int] = field(default_factory=count)

    def ask(self, http: httpx2.Client, user_id: str) -> tuple[int, str, tuple[str, ...], bool]:
        """Status, version, list, and whether it is degraded."""
        # A filter that the user never had, so that no answer comes from the cache. All users share
        # it: stages keep the masks of the latest filters, and memory would grow with their number.
        bound = 1e6 + next(self.numbers) // N_USERS
        body = {"user_id": user_id, "filters": {"price": {"lte": bound}}}
        answer = http.post("/recommendations", json=body)
        if answer.status_code != 200:
            return answer.status_code, "", (), False
        said = answer.json()
        items = tuple(one["item_id"] for one in said["recommendations"])
        return 200, said["model_version"], items, bool(said["degraded"])

    def switch_to(self, version: str) -> float:
        """Promotes a version; returns the seconds until all replicas of the ingress use it."""
        promote(self.root, version, at=time.time())
        began_s = time.perf_counter()
        with httpx2.Client(base_url=self.url, timeout=30) as http:
            while time.perf_counter() < began_s + _SWITCH_S:
                if all(http.get("/health").json()["bundle"] == version for _ in range(_LOOKS)):
                    return time.perf_counter() - began_s
        raise BenchmarkFailed(f"the service did not use {version} within {_SWITCH_S:.0f} s")


Lists = dict[tuple[str, str], tuple[str, ...]]


def lists_of(service: Service, version: str, users: Sequence[str]) -> Lists:
    """The list of each user from one version, while nothing changes."""
    service.switch_to(version)
    found: Lists = {}
    with httpx2.Client(base_url=service.url, timeout=30) as http:
        for user_id in users:
            status, used, items, degraded = service.ask(http, user_id)
            if status != 200 or used != version or degraded:
                raise BenchmarkFailed(f"the service is not quiet: {status} {used} {degraded}")
            found[user_id, version] = items
    return found


@contextmanager
def load(service: Service, expected: Lists, users: Sequence[str], n: int) -> Iterator[Seen]:
    """Asks with ``n`` connections until the block ends."""
    seen, lock, turns = Seen(), Lock(), cycle(users)

    def ask(http: httpx2.Client, _: Event) -> None:
        with lock:
            user_id = next(turns)
        try:
            status, version, items, degraded = service.ask(http, user_id)
        except httpx2.TransportError as error:
            status, version, items, degraded = 0, type(error).__name__, (), False
        with lock:
            seen.outcomes["answers" if status == 200 else f"failed {status or version}"] += 1
            seen.outcomes["degraded"] += degraded
            if status == 200 and items != expected[user_id, version]:
                seen.odd[user_id, version] = items

    with busy_clients(service.url, n, 30, ask):
        yield seen


def replicas_mb() -> float:
    """Memory of all replicas of recserve, shared pages counted once, in MB."""
    total = 0
    for process in psutil.process_iter(["cmdline"]):
        if "ServeReplica:recserve" in " ".join(process.info["cmdline"] or ()):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # it has just ended
                continue
    return total / 1e6


@click.command()
@click.option("--changes", type=click.IntRange(2), default=100, help="Changes of the bundle.")
@click.option("--connections", type=click.IntRange(1), default=4, help="Connections that ask.")
@click.option("--out", type=click.Path(path_type=Path), help="File of the page.")
@config_option
def main(config: Path, changes: int, connections: int, out: Path | None) -> None:
    """Change the served bundle of a running service under load, and check every answer."""
    workplace = workplace_of(config)
    root = workplace.bundles.root
    service = Service(workplace.http.url, root)
    versions = open_root(root).versions()[-2:]
    if len(versions) < 2:
        raise click.ClickException("publish two versions first: run `recserve fit` twice")
    users = [demo_user_id(number) for number in range(N_USERS)]
    expected = {
        key: items
        for version in versions
        for key, items in lists_of(service, version, users).items()
    }
    began_mb, seconds, sizes = replicas_mb(), [], []
    with load(service, expected, users, connections) as seen:
        for change, version in zip(range(changes), cycle(versions)):
            seconds.append(service.switch_to(version))
            if change % 10 == 9:
                sizes.append(replicas_mb())
    mixed = _mixed(service, seen.odd, lambda v: lists_of(service, v, users))
    text = str(_section(seen, seconds, [began_mb, *sizes], mixed, service, versions))
    page = f"# Changes of the bundle under load\n\n{facts()}\n\n{text}\n"
    click.echo(page)
    if out is not None:
        out.write_text(page)


def _mixed(service: Service, odd: Lists, again: Callable[[str], Lists]) -> int:
    """The number of odd lists that their version does not give by now either.

    Features that count days move during the run, and with them a list now and then.
    """
    now: Lists = {}
    for version in {version for _, version in odd}:
        now |= again(version)
    return sum(now[key] != items for key, items in odd.items())


def _section(
    seen: Seen,
    seconds: Sequence[float],
    sizes_mb: Sequence[float],
    mixed: int,
    service: Service,
    versions: Sequence[str],
) -> Section:
    failed = sum(n for name, n in seen.outcomes.items() if name.startswith("failed"))
    rows = [
        ["changes", f"{len(seconds)}"],
        ["answers meanwhile", f"{seen.outcomes['answers']:,}"],
        ["failed", f"{failed}"],
        ["degraded", f"{seen.outcomes['degraded']}"],
        ["lists of two bundles", f"{mixed}"],
        ["seconds of a change, median", f"{sorted(seconds)[len(seconds) // 2]:.1f}"],
        ["seconds of a change, longest", f"{max(seconds):.1f}"],
        ["memory of all replicas, MB", " → ".join(f"{size:.0f}" for size in sizes_mb)],
    ]
    n_items = [read_manifest_at(open_root(service.root), version) for version in versions]
    about = f"Two versions in turns: {', '.join(manifest.version for manifest in n_items)}."
    return Section("Changes of the bundle", [about, Table(["", "measured"], rows)])


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.bundle_changes")
