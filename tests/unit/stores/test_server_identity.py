"""Tests that the identity of a Redis server changes with each start and each promotion."""

import pytest
from redis.exceptions import ReadOnlyError

from serve_app.stores.server_identity import IDENTITY_BYTES, identity_of

INFO = b"# Server\r\nrun_id:%s\r\ntcp_port:1\r\n\n# Replication\r\nrole:%s\r\nmaster_replid:%s\r\n"


def test_every_part_counts() -> None:
    pairs = [(b"a", b"x"), (b"a", b"y"), (b"b", b"x")]
    identities = [identity_of(INFO % (run, b"master", promoted)) for run, promoted in pairs]

    assert len(set(identities)) == 3
    assert {len(identity or b"") for identity in identities} == {IDENTITY_BYTES}
    assert identities[0] == identity_of(INFO % (b"a", b"master", b"x"))


@pytest.mark.parametrize("info", [b"", b"role:master\r\nmaster_replid:x\r\n", b"my_run_id:a\r\n"])
def test_there_is_none_without_a_run_id(info: bytes) -> None:
    assert identity_of(info) is None


def test_a_server_that_tells_no_more_than_its_run_id_has_one() -> None:
    assert identity_of(b"run_id:a\r\n") is not None


def test_a_replica_is_refused() -> None:
    with pytest.raises(ReadOnlyError):
        identity_of(INFO % (b"a", b"slave", b"x"))
