"""Defines the parts of `make bench`: each measures and writes a section."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import growth
from benchmarks.answers import check_same_answers
from benchmarks.closed_loop import Plan, Turn, turns
from benchmarks.closed_report import closed_section
from benchmarks.features_alone import features_alone
from benchmarks.figures import quantiles_ms, rounded
from benchmarks.home import SHOP, Home, forget_answers, warm
from benchmarks.markdown import Section, Table
from benchmarks.open_loop import LOST, OpenRun, bodies_of, run_open_loop
from benchmarks.profiling import Profile, profiles
from benchmarks.seed_service.filling import warm_seed
from benchmarks.services import SERVICES
from benchmarks.serving import Running
from benchmarks.stopping import BenchmarkFailed
from benchmarks.wrk import MISSING, is_installed, run_wrk

CLOSED: Mapping[str, Sequence[str]] = {
    "seed": ("ours", "seed"),
    "naive": ("ours", "naive"),
    "empty": ("ours", "cached", "empty", "route"),
    "ours": ("ours", "cached"),
    "one": ("ours", "one"),
}
"""Parts that are closed loops, with their loads."""

SHARES = (0.5, 0.7, 0.9, 3.0)
"""Rates of the open loop, as shares of the capacity."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Attributes:
        open_seconds: duration of each rate of the open loop.
        catalogues: numbers of items.
        n_users: numbers of users in the stores.
        n_replicas: numbers of replicas of every stage, in addition to one.
        n_calls: calls per size for features alone.
    """

    closed: Plan
    open_seconds: int
    catalogues: tuple[int, ...]
    n_users: tuple[int, ...]
    n_replicas: tuple[int, ...]
    n_calls: int
    profile_seconds: int


QUICK = Settings(
    Plan(rounds=2, seconds=3),
    open_seconds=6,
    catalogues=(10_000, 1_000_000),
    n_users=(),
    n_replicas=(2,),
    n_calls=300,
    profile_seconds=3,
)
FULL = Settings(
    Plan(rounds=5, seconds=15),
    open_seconds=60,
    catalogues=(10_000, 100_000, 1_000_000),
    n_users=(100_000, 1_000_000),
    n_replicas=(2, 4),
    n_calls=3_000,
    profile_seconds=20,
)


def closed_part(
    home: Home, settings: Settings, progress: Progress, parts: Sequence[str]
) -> tuple[Section, list[Turn]]:
    """
    Raises:
        BenchmarkFailed: wrk is missing, or the seed service gives other answers.
    """
    if not is_installed():
        raise BenchmarkFailed(MISSING)
    loads = list(dict.fromkeys(load for part in parts for load in CLOSED[part]))
    notes: list[str] = []
    if "seed" in loads:
        loads[loads.index("seed")] = _better_seed(home)

    def compare(running: Running) -> None:
        if {"seed", "seed-async"} & set(loads) and not notes:
            with SERVICES["seed"](home) as seed:
                n = check_same_answers(running, seed, home.user_ids())
            notes.append(f"recserve and the seed service gave equal answers to {n} users.")

    done = turns(home, loads, settings.closed, progress, compare)
    return closed_section(done, notes), done


def open_part(home: Home, settings: Settings, progress: Progress) -> tuple[Section, list[OpenRun]]:
    """Measure Poisson arrivals at shares of the capacity, which a closed loop finds first."""
    warm(home)
    bodies = bodies_of(home.user_ids())
    with SERVICES["ours"](home) as running:
        for seconds in (3, settings.closed.seconds):
            forget_answers(home)
            capacity = run_wrk(
                running.url, home.users, connections=64, duration_s=seconds
            ).throughput
        runs = []
        for i, share in enumerate(SHARES):
            progress("open loop", i / len(SHARES))
            forget_answers(home)
            url = f"{running.url}/recommendations"
            runs.append(run_open_loop(url, bodies, share * capacity, settings.open_seconds, i))
        progress("open loop", 1.0)
    text = (
        f"Capacity: {rounded(capacity)} requests/s (closed loop, 64 connections). Latency counts"
        " from the intended send time; the generator shares the cores."
    )
    rows = [_open_row(share, run) for share, run in zip(SHARES, runs, strict=True)]
    heads = ["offered", "requests/s", "goodput/s", "p50 ms", "p95 ms", "p99 ms", "p99.9 ms"]
    counts = ["failed", "lost", "refused", "Retry-After", "degraded", "sent late p99 ms"]
    return Section("Open loop", [text, Table([*heads, *counts], rows)]), runs


def _open_row(share: float, run: OpenRun) -> list[str]:
    return [
        f"{share:.0%}",
        rounded(run.offered),
        rounded(run.goodput),
        *map(rounded, run.latency_ms().values()),
        str(run.n_failed),
        str(run.statuses.get(LOST, 0)),
        str(run.statuses.get(429, 0)),
        "yes" if run.has_retry_after else "no",
        str(run.n_degraded),
        rounded(quantiles_ms(run.lateness_s)["p99"]),
    ]


def growth_part(home: Home, settings: Settings, progress: Progress) -> Section:
    cases = growth.cases(home, settings.catalogues, settings.n_users, settings.n_replicas)
    done = _grown("growth", home, cases, settings, progress)
    *_, one = (each for each in done if each.case.name == "catalogue")
    two = next(each for each in done if each.case.name == "replicas")
    empty_mb = growth.memory_of_empty(home)
    costs = [
        [stage, rounded(cost), rounded(cost - empty_mb)]
        for stage in one.memory
        if stage.startswith(growth.STAGES)
        for cost in [growth.memory_per_replica(one, two, stage)]
    ]
    n_candidates = home.workplace.config.candidates.max_candidates
    text = (
        f"Memory (PSS, MB) of a second replica at {max(settings.catalogues):,} items; a replica of"
        f" the empty graph has {empty_mb:.0f} MB. Unless a row says otherwise: one replica,"
        f" {n_candidates} candidates, {SHOP.n_items:,} items. Added users are in both stores; no"
        " request asks for them."
    )
    return Section(
        "Growth",
        [_grown_table(done), text, Table(["stage", "MB", "more than an empty replica"], costs)],
    )


def batches_part(home: Home, settings: Settings, progress: Progress) -> Section:
    done = _grown("batches", home, growth.batch_cases(), settings, progress)
    return Section("Settings of the batches", [_grown_table(done)])


def _grown(
    name: str, home: Home, cases: Sequence[growth.Case], settings: Settings, progress: Progress
) -> list[growth.Grown]:
    done = []
    for i, case in enumerate(cases):
        progress(name, i / len(cases))
        done.append(growth.grown(home, case, settings.closed.seconds))
    progress(name, 1.0)
    return done


def _grown_table(done: Sequence[growth.Grown]) -> Table:
    heads = ["case", "p50 ms at 1", "requests/s at 64", "p50 ms at 64", "p99 ms at 64", "degraded"]
    rows = [
        [
            f"{each.case.name} {each.case.size:,}",
            rounded(each.alone.p50_ms),
            rounded(each.loaded.throughput),
            rounded(each.loaded.p50_ms),
            rounded(each.loaded.p99_ms),
            str(each.loaded.n_degraded),
        ]
        for each in done
    ]
    return Table(heads, rows)


def features_part(home: Home, settings: Settings, progress: Progress) -> Section:
    warm(home)
    progress("features alone", 0.0)
    found = features_alone(home, settings.n_calls)
    progress("features alone", 1.0)
    rows = [[f"{n} items", *map(rounded, each.values())] for n, each in found.items()]
    text = "`FeatureFetcher.items` in one process, in milliseconds. Redis holds all items."
    return Section("Features alone", [text, Table(["", *next(iter(found.values()))], rows)])


def profile_part(home: Home, settings: Settings, progress: Progress) -> Section:
    warm(home)
    progress("profile", 0.0)
    with SERVICES["ours"](home) as running:
        run_wrk(running.url, home.users, connections=64, duration_s=3, skip=10_000)
        forget_answers(home)
        found = profiles(running, home.users, 64, settings.profile_seconds)
    progress("profile", 1.0)
    tables = [part for name, profile in found.items() for part in _profile_tables(name, profile)]
    return Section("CPU time by function, at 64 connections", tables)


def _profile_tables(name: str, profile: Profile) -> list[str | Table]:
    rows = [
        [f"`{mine}`", f"{own:.1%}", f"`{its}`", f"{total:.1%}"]
        for (mine, own), (its, total) in zip(
            profile.top(profile.own), profile.top(profile.inner()), strict=False
        )
    ]
    heads = ["function alone", "share", "function with its calls", "share"]
    return [f"### {name}: Python uses {profile.busy:.2f} of a core", Table(heads, rows)]


def _better_seed(home: Home) -> str:
    found = {}
    warm_seed(home.urls)
    for name in ("seed", "seed-async"):
        forget_answers(home)
        with SERVICES[name](home) as running:
            for seconds in (2, 3):
                run = run_wrk(running.url, home.users, connections=64, duration_s=seconds)
            found[name] = run.throughput
    return max(found, key=lambda name: found[name])


OTHERS: Mapping[str, Callable[[Home, Settings, Progress], Section]] = {
    "open": lambda *given: open_part(*given)[0],
    "growth": growth_part,
    "batches": batches_part,
    "features": features_part,
    "profile": profile_part,
}

PARTS = (*CLOSED, *OTHERS)
"""Values of ``ONLY``."""

QUICK_PARTS = tuple(part for part in PARTS if part != "batches")
"""Without "batches": each setting of the batches needs a start of its own, which is slow."""
