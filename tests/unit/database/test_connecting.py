"""Tests which addresses a URL of PostgreSQL stands for."""

import asyncio
import socket
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from serve_app.database.connecting import addresses_of

KNOWN = {"db": ["10.0.0.1", "10.0.0.2"], "other": ["10.0.0.3"]}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: str, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in KNOWN:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, None, 0, "", (address, int(port))) for address in KNOWN[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def places(url: str) -> list[tuple[str | None, str | None, str | None]]:
    found = asyncio.run(addresses_of(conninfo_to_dict(url)))
    assert all(parameters["dbname"] == "shop" for parameters in found)
    return [(one.get("host"), one.get("hostaddr"), one.get("port")) for one in found]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql:///shop", [(None, None, None)]),
        ("postgresql:///shop?host=/run/pg", [("/run/pg", None, None)]),
        ("postgresql://10.1.1.1:6432/shop", [("10.1.1.1", None, "6432")]),
        ("postgresql://[::1]/shop", [("::1", None, None)]),
        ("postgresql://db/shop", [("db", "10.0.0.1", None), ("db", "10.0.0.2", None)]),
        (
            "postgresql://other:1,gone:2,10.1.1.1:3/shop",
            [("other", "10.0.0.3", "1"), ("10.1.1.1", None, "3")],
        ),
        (
            "host=other,10.1.1.1 port=7 dbname=shop",
            [("other", "10.0.0.3", "7"), ("10.1.1.1", None, "7")],
        ),
        ("host=db hostaddr=10.9.9.9 dbname=shop", [("db", "10.9.9.9", None)]),
    ],
)  # fmt: skip
def test_tries_each_address_of_each_host(url: str, expected: list[Any]) -> None:
    assert places(url) == expected


def test_shuffles_the_addresses_when_the_url_says_so() -> None:
    orders = {tuple(places("postgresql://db/shop?load_balance_hosts=random")) for _ in range(64)}
    assert len(orders) == 2


def test_fails_when_no_host_is_known() -> None:
    with pytest.raises(socket.gaierror):
        places("postgresql://gone,lost/shop")
