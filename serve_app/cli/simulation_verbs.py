"""Defines the verb that simulates shoppers: simulate."""

from pathlib import Path
from typing import Any

import click

from serve_app.cli.options import FiniteRange, config_option, fit_settings_option, workplace_of
from serve_app.cli.progress import show_progress
from serve_app.operations.simulate_shop import simulate_shop, write_rewards
from serve_app.simulation.reward_report import as_text
from serve_app.simulation.shop_service import ShopService
from serve_app.simulation.simulated_days import SimulationConfig

_DEFAULTS = SimulationConfig()


@click.command("simulate", context_settings={"show_default": True})
@click.option("--url", help="Address of the service. Default: that of the configuration.")
@click.option("--days", "n_days", type=click.IntRange(1), default=_DEFAULTS.n_days, help="Days.")
@click.option(
    "--visits",
    "visits_per_day",
    type=click.IntRange(1),
    default=_DEFAULTS.visits_per_day,
    help="Visits per day.",
)
@click.option(
    "--newcomers",
    "newcomer_share",
    type=FiniteRange(0, 1),
    default=_DEFAULTS.newcomer_share,
    help="Share of the visits by shoppers whom the shop does not know.",
)
@click.option(
    "--fit-days",
    type=click.IntRange(0),
    default=_DEFAULTS.fit_days,
    help="Days between two fits; 0 fits never.",
)
@click.option("--seed", type=click.IntRange(0), default=_DEFAULTS.seed, help="Seed of all draws.")
@click.option(
    "--threads",
    "n_threads",
    type=click.IntRange(1),
    default=_DEFAULTS.n_threads,
    help="Shoppers who visit at the same time.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("simulation"),
    help="Folder of the results.",
)
@config_option
@fit_settings_option
def simulate_command(
    config: Path, settings: Path, folder: Path, url: str | None, **options: Any
) -> None:
    """Let simulated shoppers visit a running demo shop, and measure what they buy.

    A third of the shoppers sees the most bought items, a third sees lists of the service, and a
    third sees lists of the service, which hears at once of what they do. The events stay in the
    shop.
    """
    workplace = workplace_of(config)
    chosen = SimulationConfig(**options)
    service = ShopService(url or workplace.http.url, chosen.n_threads)
    with show_progress() as progress:
        rewards = simulate_shop(workplace, service, chosen, settings, progress, click.echo)
    click.echo(as_text(rewards))
    for file in write_rewards(rewards, chosen, folder):
        click.echo(file)
