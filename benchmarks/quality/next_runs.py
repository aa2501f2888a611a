"""Runs the evaluator of next items on the clicks of a shop, Online Retail and the demo shop."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.home import CONFIG, ROOT
from benchmarks.quality.kept_results import Document, key_of, key_of_files, load_or_make
from serve_app.loading.load import InputFiles
from serve_app.next_items.next_evaluator import NextConfig, evaluate_next
from serve_app.next_items.next_protocol import NextProtocolConfig
from serve_app.next_items.next_report import next_json
from serve_app.operations.fits.fit_settings import ours_config

ESHOP_NEXT, RETAIL_NEXT, DEMO_NEXT = "next-eshop", "next-retail", "next-demo"
NEXT_RUNS = (ESHOP_NEXT, RETAIL_NEXT, DEMO_NEXT)


def run_next(
    name: str,
    files: InputFiles,
    points: int,
    work: Path,
    progress: Callable[[str, float], None],
    *,
    now_at: float,
) -> Document:
    """Evaluates next items with the settings that the project serves, or loads what was kept."""
    # In these shops a session is a visit that ends with purchases, or has one moment only.
    protocol = NextProtocolConfig(at_session_start=name != ESHOP_NEXT)
    config = NextConfig(
        protocol=protocol,
        max_points=points,
        ours=ours_config(CONFIG, ROOT / "configs/fit.yaml", n_threads=os.cpu_count()),
    )

    def make() -> Document:
        evaluation = evaluate_next(
            files,
            config,
            lambda step, share: progress(f"{name}: {step}", share),
            now_at=now_at,
            clock=time.perf_counter,
        )
        document: Document = json.loads(next_json(evaluation))
        return document

    data = key_of_files(file for _, file in files.given())
    code = key_of_files((ROOT / "serve_app").rglob("*.py"))
    return load_or_make(work / "runs", name, key_of(data, config.model_dump_json(), code), make)
