"""Gives tests two windows of the demo shop, measured one after the other as a fit does."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.data.labels import CLICKED
from serve_app.fitting.data.moments import moments_at
from serve_app.fitting.data.outcomes import Outcomes, find_outcomes
from serve_app.fitting.data.windows import FitWindows, choose_windows, select_before
from serve_app.fitting.judging.measuring_window import Contest, measure_block
from serve_app.fitting.judging.window_results import (
    ItemFacts,
    WindowResults,
    concatenate_results,
    describe_items,
)
from serve_app.fitting.moments.examples import Block, Examples, make_blocks
from serve_app.fitting.moments.snapshot import Snapshot, SnapshotConfig, listed_at, take_snapshot
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.scoring.model_features import FEATURES
from tests.support.hand_made_logs import demo_shop


@cache
def split() -> FitWindows:
    return choose_windows(demo_shop()[2], 0.15)


@cache
def world_at(at: float, known_until_at: float | None = None) -> Snapshot:
    """
    The snapshot of one moment.

    Args:
        known_until_at: the end of the interactions that the tables of the sources were made of;
            later than ``at`` is a leak.
    """
    items, _, log = demo_shop()
    catalogue = build_catalogue(items, log, 8)
    unknown = np.full(len(log.user_ids), np.nan)
    # What a fit finds for this shop.
    tables = TablesConfig(regularization=30.0, content_weight=0.0)
    config, listed = SnapshotConfig(embedding_dim=8, tables=tables), listed_at(catalogue, at)
    world = take_snapshot(catalogue, select_before(log, at), at, listed, unknown, config)
    if known_until_at is None:
        return world
    later = take_snapshot(
        catalogue, select_before(log, known_until_at), at, listed, unknown, config
    )
    return replace(world, fitted=replace(world.fitted, tables=later.fitted.tables))


def likely(examples: Examples) -> NDArray[np.float32]:
    """Log-odds that rise with the number of sources that offer the item."""
    return examples.matrix[:, FEATURES.index("candidate.n_sources")] / np.float32(10)


def fused(examples: Examples) -> NDArray[np.float32]:
    return examples.matrix[:, FEATURES.index("candidate.fused")]


CONTEST = Contest({"main": likely, "other": fused}, ("main",), served=fused)


def outcomes_at(at: float, until_at: float) -> Outcomes:
    log = demo_shop()[2]
    moments = moments_at(log, np.arange(len(log.user_ids)), at)
    listed = world_at(at).fitted.catalogue.listed
    # The window ends before the next one begins.
    return find_outcomes(log, moments, np.nextafter(until_at, 0), listed, least=CLICKED)


def measured_block(
    block: Block, found: Outcomes, world: Snapshot, contest: Contest = CONTEST
) -> WindowResults:
    rows, log = block.candidates.rows, demo_shop()[2]
    return measure_block(block.examples, rows, block.users, found, world, log, contest)


def measured_at(
    at: float, until_at: float, contest: Contest = CONTEST, *, leaking: bool = False
) -> WindowResults:
    """The window between two moments."""
    world, found = world_at(at, until_at if leaking else None), outcomes_at(at, until_at)
    found_blocks = make_blocks(world, demo_shop()[2], found, CandidatesConfig())
    return concatenate_results(
        [measured_block(block, found, world, contest) for block in found_blocks]
    )


def items_at(at: float) -> ItemFacts:
    return describe_items(world_at(at).fitted.catalogue, at)
