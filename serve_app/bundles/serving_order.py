"""Decides which versions replicas try to open, by one rule for all of them.

The current version comes first. If it cannot be opened, or lacks a model, the versions follow that
were served before it, latest first. A version that was never promoted is not served.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from serve_app.bundles.manifest import unusable_variants
from serve_app.bundles.promotions import read_entries, served_before
from serve_app.bundles.roots import CURRENT, BundleRoot, open_root, read_current, read_manifest_at
from serve_app.errors import BundleDamaged, BundleMissing, ModelsUnusable

N_EARLIER = 10
"""Earlier versions that are tried. The root keeps fewer, and each of them costs a read."""


@dataclass(frozen=True, slots=True)
class ServingOrder:
    """Holds the versions to try, the best one first.

    Attributes:
        whole: versions with a usable model of every variant.
        lacking: versions without such a model; any of them is better than none.
        faults: sentences that say why versions are missing from ``whole``.
    """

    whole: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def current_order(root: str, variants: Sequence[str]) -> ServingOrder:
    """The current version; an empty order without faults if nothing was ever promoted.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    opened = open_root(root)
    try:
        current = read_current(opened)
    except BundleDamaged as error:
        return ServingOrder(faults=(str(error),))
    return _sorted_out(opened, [current] if current else [], variants, are_expected=True)


def earlier_order(root: str, variants: Sequence[str]) -> ServingOrder:
    """The versions that were served before the current one.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    opened = open_root(root)
    log, damaged = read_entries(opened)
    faults = tuple(str(fault) for fault in damaged[:1])
    try:
        current = read_current(opened)
        is_lost = current is None
    except BundleDamaged:
        current, is_lost = None, False
    if current is not None:
        order = _sorted_out(opened, served_before(log, current), variants, are_expected=False)
        return replace(order, faults=(*faults, *order.faults))
    # A first promotion without the file ``current`` has not happened.
    if not log or (log[-1].over is None and is_lost):
        return ServingOrder(faults=faults)
    # The promotion that was logged last stands for a file that is lost, or names no version.
    last = log[-1].version
    order = _sorted_out(opened, [last, *served_before(log, last)], variants, are_expected=False)
    unnamed = f"{root}/{CURRENT} names no version"
    return replace(order, faults=(unnamed, *faults, *order.faults))


def _sorted_out(
    root: BundleRoot, versions: Sequence[str], variants: Sequence[str], *, are_expected: bool
) -> ServingOrder:
    whole: list[str] = []
    lacking: list[str] = []
    faults: list[str] = []
    for version in versions[:N_EARLIER]:
        try:
            unusable = unusable_variants(read_manifest_at(root, version), variants)
        except BundleMissing as error:
            # Earlier versions are deleted as newer ones come; only the current one has to be there.
            if are_expected:
                faults.append(str(error))
            continue
        except BundleDamaged as error:
            faults.append(str(error))
            continue
        except OSError as error:
            # What is wrong with one folder of this machine says nothing about the others.
            faults.append(f"bundle {version} cannot be read: {error}")
            continue
        (lacking if unusable else whole).append(version)
        if unusable:
            faults.append(str(ModelsUnusable(version, ", ".join(unusable))))
    return ServingOrder(tuple(whole), tuple(lacking), tuple(faults))
