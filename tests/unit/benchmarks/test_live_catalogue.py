from benchmarks.live_catalogue import CHANGES_PER_MINUTE, run

N_ITEMS = 100_000

BYTES_PER_ITEM = 50
"""50 MB for a million items."""


def test_an_overlay_takes_few_bytes_for_each_item_of_the_catalogue():
    [cost] = run(N_ITEMS, 10_000, minutes=1, report_every=1)

    assert 0.9 * CHANGES_PER_MINUTE < cost.n_rows <= CHANGES_PER_MINUTE
    # What a change takes by itself, and modules that are imported late, do not grow with the items.
    assert cost.bytes < BYTES_PER_ITEM * N_ITEMS + 1_000 * CHANGES_PER_MINUTE
