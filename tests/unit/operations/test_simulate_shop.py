import pytest

from serve_app.errors import ServiceUnreachable, SettingsInvalid
from serve_app.operations.simulate_shop import _check_shop, _wait_for
from serve_app.simulation.shop_service import Listed
from serve_app.simulation.simulated_days import SimulationConfig


class Answering:
    def __init__(self, *item_ids):
        self.item_ids = item_ids

    def recommend(self, user_id, n, at):
        return Listed(self.item_ids, "r")


@pytest.mark.parametrize("item_ids", [(), ("pan",), ("i000001", "i999999")])
def test_refuses_a_service_of_another_shop(item_ids):
    with pytest.raises(SettingsInvalid, match="does not serve the demo shop"):
        _check_shop(Answering(*item_ids), SimulationConfig())


def test_takes_a_service_of_the_demo_shop():
    _check_shop(Answering("i000001", "i004999"), SimulationConfig())


def test_waits_until_the_service_uses_the_new_version():
    looks, waits = iter([False, False, True]), []

    _wait_for(lambda: next(looks), clock=lambda: 0.0, wait=waits.append)

    assert len(waits) == 2


def test_gives_up_on_a_service_that_keeps_the_old_version():
    times = iter([0.0, 1.0, 500.0])

    with pytest.raises(ServiceUnreachable, match="new version"):
        _wait_for(lambda: False, clock=lambda: next(times), wait=lambda seconds: None)
