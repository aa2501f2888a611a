"""Tests since when a store counts as unreachable."""

from serve_app.reachability import Reachability


def test_counts_from_the_first_failure_after_the_last_answer() -> None:
    times = iter([10.0, 12.0, 20.0, 20.5])
    reachability = Reachability(lambda: next(times))

    assert reachability.unreachable_s == 0
    reachability.failed()
    reachability.failed()
    assert reachability.unreachable_s == 2
    reachability.answered()
    assert reachability.unreachable_s == 0
    reachability.failed()
    assert reachability.unreachable_s == 0.5
