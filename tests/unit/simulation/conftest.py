import pytest

from serve_app.demo.demo_shop import DemoConfig
from serve_app.simulation.crowd import make_crowd

SMALL = DemoConfig(n_users=60, n_items=80, n_interactions=1_500, n_days=120)


@pytest.fixture(scope="session")
def crowd():
    return make_crowd(SMALL, n_newcomers=30, seed=3)
