"""Makes versions current, and remembers which were.

``current`` alone says what is served; it changes in one step. The history, ``promotions.jsonl``, is
for rolling back and for people. An object store cannot append, so it is replaced as a whole, also
in one step, and holds the latest ``N_REMEMBERED``.

A promotion is written down first and carried out second, and says which version it replaces. A
process that dies in between leaves ``current`` as it was, and a last line that
``promotion_log.carried_out`` tells from one that happened: what it was to replace is current
still. The next promotion drops that line. In the other order, a rollback that died in between would
look like a promotion of an older version, and the next rollback would return to the version that
the first one left.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from serve_app.bundles.promotion_log import Cause, Promotion, carried_out, served_before
from serve_app.bundles.roots import (
    CURRENT,
    BundleRoot,
    bundle_root,
    read_current,
    read_manifest_at,
)
from serve_app.errors import BundleDamaged, BundleMissing, NothingServedBefore, SettingsInvalid

PROMOTIONS = "promotions.jsonl"

N_REMEMBERED = 100


def promotions(root: str) -> Sequence[Promotion]:
    """
    What became current under the root, and by whom, oldest first.

    Raises:
        SettingsInvalid: the history cannot be read.
        StoreUnavailable: the object store did not answer.
    """
    place = bundle_root(root)
    return carried_out(_read(place), _current_if_any(place))


def promote(root: str, version: str, *, at: float, by: Cause = "operator") -> None:
    """
    Makes a version that is there the current one.

    Args:
        at: epoch seconds.

    Raises:
        BundleMissing: no such version.
        SettingsInvalid: the history cannot be read; what is served stays.
    """
    place = bundle_root(root)
    with place.alone():
        known = place.versions()
        if version not in known:
            raise BundleMissing(root, version, known)
        promote_at(place, version, at, by)


def rollback(root: str, *, at: float) -> str:
    """
    Makes the version current again that was served before the current one.

    Done twice, it goes back two. Versions that are gone, or that this build cannot read, are passed
    over.

    Args:
        at: epoch seconds.

    Returns:
        The version that is current now.

    Raises:
        NothingServedBefore: there is none.
        SettingsInvalid: the history cannot be read; what is served stays.
    """
    place = bundle_root(root)
    with place.alone():
        version = rollback_target_at(place)
        if version is None:
            current = _current_if_any(place)
            others = [each for each in place.versions() if each != current]
            raise NothingServedBefore(root, others)
        promote_at(place, version, at, "rollback")
    return version


def rollback_target(root: str) -> str | None:
    """Where ``rollback`` would lead; ``None`` when nowhere."""
    return rollback_target_at(bundle_root(root))


def rollback_target_at(place: BundleRoot) -> str | None:
    """The same, of a root that is opened."""
    present = set(place.versions())
    before = served_before(_read(place), _current_if_any(place))
    return next((each for each in before if each in present and _is_read(place, each)), None)


def promote_at(place: BundleRoot, version: str, at: float, by: Cause) -> None:
    """Promotes a version that is there; the caller keeps other writers away."""
    current = _current_if_any(place)
    if version == current:
        return
    done = carried_out(_read(place), current)
    planned = Promotion(version=version, at=at, by=by, over=current)
    lines = [each.model_dump_json() for each in [*done, planned][-N_REMEMBERED:]]
    place.write(PROMOTIONS, "".join(f"{line}\n" for line in lines).encode())
    place.write(CURRENT, version.encode())


def _read(place: BundleRoot) -> Sequence[Promotion]:
    content = place.read(PROMOTIONS) or b""
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            found.append(Promotion.model_validate_json(line))
        except ValidationError as error:
            reason = (
                f"line {number} is no promotion; delete the file, and the history begins anew (what"
                " is served stays)"
            )
            raise SettingsInvalid(f"{place.name}/{PROMOTIONS}", reason) from error
    return found


def _current_if_any(place: BundleRoot) -> str | None:
    try:
        return read_current(place)
    except BundleDamaged:
        # It names no version: as good as none, and the next promotion mends it.
        return None


def _is_read(place: BundleRoot, version: str) -> bool:
    try:
        read_manifest_at(place, version)
    except (BundleDamaged, BundleMissing):
        return False
    return True
