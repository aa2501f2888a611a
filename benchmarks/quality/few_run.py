"""Evaluates small simulated shops, where there is little to learn from."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.home import CONFIG, ROOT
from benchmarks.markdown import Section, Table
from benchmarks.quality.kept_results import Document, key_of, key_of_files, load_or_make
from serve_app.arrays.units import DAY_S
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.evaluation.evaluator import OURS, Evaluation, EvaluationConfig, evaluate
from serve_app.loading.load import InputFiles
from serve_app.operations.fits.fit_settings import ours_config

FEW = "few"
TASTES, DEMO_KIND = "tastes", "demo"
SHOPS: Sequence[tuple[str, int]] = (
    (TASTES, 30),
    (TASTES, 60),
    (TASTES, 100),
    (DEMO_KIND, 60),
    (DEMO_KIND, 100),
)
"""Kinds and users. A demo shop of 30 users has too few purchases to evaluate."""

SEEDS = range(1, 13)
"""Means of eight seeds still differ by a tenth."""
LEAST_RATIO = 0.97
_N_ITEMS, _N_DAYS = 250, 365
_N_TASTES, _EVENTS_PER_USER, _DEMO_EVENTS_PER_USER = 6, 50, 200


def run_few(
    points: int, work: Path, progress: Callable[[str, float], None], *, now_at: float
) -> Document:
    """Evaluates every shop with the settings that the project serves, or loads what was kept."""
    config = EvaluationConfig(
        max_points=points,
        ours=ours_config(CONFIG, ROOT / "configs/fit.yaml", n_threads=os.cpu_count()),
    )
    code = key_of_files([*(ROOT / "serve_app").rglob("*.py"), Path(__file__)])

    def make() -> Document:
        document: Document = {}
        for i, (kind, n_users) in enumerate(SHOPS):
            found = []
            for seed in SEEDS:
                files = write_shop(kind, n_users, seed, work / FEW)
                tell: Callable[[str, float], None] = lambda step, share: None  # noqa: E731
                made = evaluate(files, config, tell, now_at=now_at, clock=time.perf_counter)
                found.append(_summary(made))
            document[f"{kind}, {n_users} users"] = found
            progress(FEW, (i + 1) / len(SHOPS))
        return document

    return load_or_make(work / "runs", FEW, key_of(config.model_dump_json(), code), make)


def write_shop(kind: str, n_users: int, seed: int, folder: Path) -> InputFiles:
    """Writes the files of a simulated shop; equal arguments give equal shops."""
    target = folder / f"{kind}-{n_users}-{seed}"
    if kind == DEMO_KIND:
        n_events = _DEMO_EVENTS_PER_USER * n_users
        shop = make_demo(DemoConfig(n_users, _N_ITEMS, n_events, seed))
        return InputFiles(*write_demo(shop, target))
    target.mkdir(parents=True, exist_ok=True)
    pq.write_table(make_purchases(n_users, seed), target / "interactions.parquet")
    return InputFiles(None, None, target / "interactions.parquet")


def make_purchases(n_users: int, seed: int) -> pa.Table:
    """Purchases of users whose tastes are a product of six factors and do not change."""
    rng = np.random.default_rng(seed)
    tastes, traits = rng.normal(size=(n_users, _N_TASTES)), rng.normal(size=(_N_ITEMS, _N_TASTES))
    wishes = 0.9 * tastes @ traits.T + 0.5 * rng.normal(size=_N_ITEMS)
    counts = np.clip(rng.poisson(_EVENTS_PER_USER, n_users), 5, _N_ITEMS // 2)
    # The items with the largest sums of wish and Gumbel noise are a draw without replacement.
    order = np.argsort(-(wishes + rng.gumbel(size=wishes.shape)), axis=1)
    items = np.concatenate([row[:n] for row, n in zip(order, counts, strict=True)])
    end_at = DemoConfig().end_at
    return pa.table(
        {
            "user_id": [f"u{user:04}" for user in np.repeat(np.arange(n_users), counts)],
            "item_id": [f"i{item:04}" for item in items],
            "timestamp": end_at - rng.random(len(items)) * _N_DAYS * DAY_S,
            "type": ["purchase"] * len(items),
        }
    )


def few_sections(runs: Mapping[str, Document]) -> list[Section]:
    if FEW not in runs:
        return []
    rows = [
        [name, str(len(found)), f"{ours:.3f}", f"{best:.3f}", f"{ours / best:.2f}", winners]
        for name, found in runs[FEW].items()
        for ours, best, winners in [_means(found)]
    ]
    columns = ["shop", "seeds", f"`{OURS}`", "best single", "ratio", "best singles"]
    text = "Means of NDCG@10 over seeds of simulated shops. The best single is that of each shop."
    return [Section("Few users", [text, Table(columns, rows)])]


def few_users(runs: Mapping[str, Document]) -> tuple[str, bool]:
    """Ratio of the means in each kind of shop, and whether all reach the goal."""
    ratios = {name: ours / best for name, (ours, best, _) in _by_shop(runs[FEW]).items()}
    text = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return text, all(ratio >= LEAST_RATIO for ratio in ratios.values())


def _by_shop(document: Document) -> dict[str, tuple[float, float, str]]:
    return {name: _means(found) for name, found in document.items()}


def _means(found: Sequence[Mapping[str, Any]]) -> tuple[float, float, str]:
    names = sorted({each["best"] for each in found})
    ours, best = (float(np.mean([each[key] for each in found])) for key in ("ours", "ndcg"))
    return ours, best, ", ".join(f"`{name}`" for name in names)


def _summary(made: Evaluation) -> dict[str, Any]:
    """Without lists ours count as zero: a refused fit is no reason to leave a shop out."""
    best = made.best["single"]
    ours = made.models[OURS]["ndcg@10"].mean if OURS in made.models else 0.0
    return {"ours": ours, "best": best, "ndcg": made.models[best]["ndcg@10"].mean}
