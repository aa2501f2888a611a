"""Two windows of the demo shop, measured one after the other as a fit does."""

from dataclasses import replace
from functools import cache

import numpy as np

from serve_app.domain.candidates import CandidatesConfig
from serve_app.offline.examples import blocks
from serve_app.offline.items import catalogue_of
from serve_app.offline.measured import ItemFacts, Measured, item_facts, joined
from serve_app.offline.measuring import Contest, measure
from serve_app.offline.snapshot import Snapshot, SnapshotConfig, listed_at, snapshot
from serve_app.offline.windows import CLICKED, Split, before, outcomes, split_of
from tests.fitting import demo_shop


@cache
def split() -> Split:
    return split_of(demo_shop()[2], 0.15)


@cache
def world_at(at: float, known_until_at: float | None = None) -> Snapshot:
    """
    What was known at a moment.

    Args:
        known_until_at: the tables of the sources know as much; later than ``at`` is a leak.
    """
    items, _, log = demo_shop()
    catalogue = catalogue_of(items, log, 8)
    nobody = np.full(len(log.user_ids), np.nan)
    config, listed = SnapshotConfig(embedding_dim=8), listed_at(catalogue, at)
    world = snapshot(catalogue, before(log, at), at, listed, nobody, config)
    if known_until_at is None:
        return world
    later = snapshot(catalogue, before(log, known_until_at), at, listed, nobody, config)
    return replace(world, tables=later.tables)


def measured_at(
    at: float, until_at: float, contest: Contest | None = None, leaking: bool = False
) -> Measured:
    """The window between two moments."""
    log = demo_shop()[2]
    world = world_at(at, until_at if leaking else None)
    known = before(log, until_at)
    found = outcomes(known, at, until_at, world.catalogue.listed, least=CLICKED)
    return joined(
        [
            measure(block, found, log.user_ids, world, contest or Contest())
            for block in blocks(world, found, log.user_ids, CandidatesConfig())
        ]
    )


def items_at(at: float) -> ItemFacts:
    return item_facts(world_at(at).catalogue, at)
