"""Runs a simulation against a running service, with fits of its shop in between."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from serve_app.bundles.roots import open_root, read_current
from serve_app.demo.demo_ids import demo_item_id, demo_user_id
from serve_app.errors import ServiceUnreachable, SettingsInvalid
from serve_app.fitting.run import Progress
from serve_app.operations.fits.fit_bundle import Announce, fit_bundle
from serve_app.operations.workplace import Workplace
from serve_app.simulation.reward_report import as_json
from serve_app.simulation.rewards import Rewards, add_up
from serve_app.simulation.shop_service import ShopService
from serve_app.simulation.simulated_days import SimulationConfig, simulate

_SWITCH_S = 120.0
_POLL_S = 0.5


def simulate_shop(
    workplace: Workplace,
    service: ShopService,
    config: SimulationConfig,
    fit_settings: Path,
    progress: Progress,
    announce: Announce,
) -> Rewards:
    """Simulates days of visits, and returns what came of them.

    Raises:
        ServiceUnreachable: the service does not answer as it should.
        SettingsInvalid: the service serves another shop than the demo shop of the settings.
    """
    _check_shop(service, config)

    def fit() -> None:
        fit_bundle(workplace, fit_settings, progress, announce=announce)
        _wait_for(lambda: service.version() == read_current(open_root(workplace.bundles.root)))

    days = []
    for day in simulate(config, service, fit, progress):
        days.append(day)
        announce(f"day {len(days)}: {len(day.outcomes) / day.seconds:.0f} visits per second")
    return add_up(days, config.demo.n_users, config.seed)


def write_rewards(rewards: Rewards, config: SimulationConfig, folder: Path) -> list[Path]:
    """Writes the counts as JSON and a plot of them; returns the paths of both."""
    # It imports matplotlib, which only a report needs.
    from serve_app.simulation.reward_plot import draw_rewards

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "simulation.json", folder / "simulation.png"]
    files[0].write_text(as_json(rewards, config), encoding="utf-8")
    files[1].write_bytes(draw_rewards(rewards))
    return files


def _check_shop(service: ShopService, config: SimulationConfig) -> None:
    listed = service.recommend(demo_user_id(0), 10, config.demo.end_at).item_ids
    names = {demo_item_id(number) for number in range(config.demo.n_items)}
    if not listed or not set(listed) <= names:
        raise SettingsInvalid(
            "simulate",
            "the service does not serve the demo shop: start one with `recserve run` and an empty"
            " RECSERVE_HOME",
        )


def _wait_for(
    holds: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] | None = None,
) -> None:
    wait = wait or Event().wait
    until_s = clock() + _SWITCH_S
    while not holds():
        if clock() > until_s:
            raise ServiceUnreachable(
                "the service", f"it did not use the new version within {_SWITCH_S:.0f} s"
            )
        wait(_POLL_S)
