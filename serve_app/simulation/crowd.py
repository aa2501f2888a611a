"""Makes the shoppers of a simulation: users whom the shop knows, and newcomers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from serve_app.arrays.columns import Rows
from serve_app.demo.demo_ids import demo_item_id, demo_user_id
from serve_app.demo.demo_shop import DemoConfig, make_hidden_shop
from serve_app.demo.tastes import HiddenShop, Shoppers, make_shoppers

GROUPS = ("popular", "nightly", "live")
"""How a shopper's lists are made. ``popular``: the most bought items. ``nightly``: by the service,
which hears of the shopper's events at the end of the day. ``live``: by the service, which hears of
them at once."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """All shoppers; those of the demo shop come first, and newcomers behind them.

    Attributes:
        shop: the hidden shop, with the newcomers among its shoppers.
        groups: shape (n,), int8, position in ``GROUPS``.
        item_of_number: item of the hidden shop by the number in its id.
    """

    shop: HiddenShop
    n_known: int
    groups: Rows
    item_of_number: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.groups)

    def user_id(self, shopper: int) -> str:
        if shopper < self.n_known:
            return demo_user_id(shopper)
        return f"visitor{shopper - self.n_known:06d}"

    def item_id(self, item: int) -> str:
        return demo_item_id(self.shop.item_numbers[item])

    def item(self, item_id: str) -> int | None:
        """The item of an id; ``None`` if the demo shop has no such item."""
        digits = item_id.removeprefix("i")
        return self.item_of_number.get(int(digits)) if digits.isdigit() else None


def make_crowd(demo: DemoConfig, n_newcomers: int, seed: int) -> Crowd:
    """Makes the crowd of a demo shop. Shoppers fall into the groups at random."""
    rng = np.random.default_rng(seed)
    shop = make_hidden_shop(demo)
    newcomers = make_shoppers(n_newcomers, demo.start_at, demo.end_at, rng)
    shop = replace(shop, shoppers=_joined(shop.shoppers, newcomers))
    groups = rng.integers(len(GROUPS), size=demo.n_users + n_newcomers, dtype=np.int8)
    item_of_number = {number: item for item, number in enumerate(shop.item_numbers.tolist())}
    return Crowd(shop, demo.n_users, groups.astype(np.int32), item_of_number)


def _joined(first: Shoppers, second: Shoppers) -> Shoppers:
    return Shoppers(
        *(
            np.concatenate([getattr(first, column.name), getattr(second, column.name)])
            for column in fields(Shoppers)
        )
    )
