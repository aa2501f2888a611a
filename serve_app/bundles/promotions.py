"""Makes versions current, and logs which were current before, for rollbacks.

The file ``current`` alone says which version is served, and changes in one step. The log,
``promotions.jsonl``, serves rollbacks and people. Object stores cannot append to a file, so the log
is replaced as a whole, also in one step, and keeps the latest ``N_REMEMBERED`` promotions.

A promotion is logged first and done second, and its entry names the version that it replaces. If
the process dies in between, ``current`` still names that version, and ``drop_unfinished``
recognises the entry. In the other order, a rollback that died in between would look like a
promotion of an older version. The next rollback would then lead forward again.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.bundles.manifest import VERSION_PATTERN
from serve_app.bundles.roots import CURRENT, BundleRoot, open_root, read_current, read_manifest_at
from serve_app.errors import BundleDamaged, BundleMissing, NothingServedBefore, SettingsInvalid

PROMOTIONS = "promotions.jsonl"

N_REMEMBERED = 100

Cause = Literal["fit", "operator", "forced", "rollback"]
"""Cause of a promotion; ``forced``: an operator, against the version's report or models."""


class Promotion(BaseModel):
    """One line of the log. Unknown keys are ignored: a later build may add some.

    Attributes:
        version: version that became current.
        at: epoch seconds.
        over: version that was replaced; ``None`` when there was none.
    """

    model_config = ConfigDict(frozen=True)

    version: str = Field(pattern=VERSION_PATTERN.pattern)
    at: float
    by: Cause
    over: str | None


def promotions(root: str) -> Sequence[Promotion]:
    """The promotions under the root, oldest first.

    Raises:
        SettingsInvalid: the log cannot be read.
        StoreUnavailable: the object store did not answer.
    """
    opened = open_root(root)
    return drop_unfinished(read_log(opened), current_if_any(opened))


def promote(root: str, version: str, *, at: float, by: Cause = "operator") -> None:
    """Makes a published version the current one.

    Raises:
        BundleMissing: no such version.
        SettingsInvalid: the log cannot be read; the served version stays.
    """
    opened = open_root(root)
    with opened.locked():
        known = opened.versions()
        if version not in known:
            raise BundleMissing(root, version, known)
        promote_at(opened, version, at, by)


def rollback(root: str, *, at: float) -> str:
    """Makes the version current that was served before the current one; twice goes back two
    versions.

    Versions that were deleted, or that this build cannot read, are skipped.

    Returns:
        The version that is current now.

    Raises:
        NothingServedBefore: there is no such version.
        SettingsInvalid: the log cannot be read; the served version stays.
    """
    opened = open_root(root)
    with opened.locked():
        version = rollback_target_at(opened)
        if version is None:
            current = current_if_any(opened)
            others = [other for other in opened.versions() if other != current]
            raise NothingServedBefore(root, others)
        promote_at(opened, version, at, "rollback")
    return version


def rollback_target(root: str) -> str | None:
    """The version that ``rollback`` would make current; ``None`` when there is none."""
    return rollback_target_at(open_root(root))


def rollback_target_at(root: BundleRoot) -> str | None:
    """``rollback_target`` of an opened root."""
    present = set(root.versions())
    before = served_before(read_log(root), current_if_any(root))
    return next((old for old in before if old in present and _is_readable(root, old)), None)


def promote_at(root: BundleRoot, version: str, at: float, by: Cause) -> None:
    """Promotes a published version; the caller holds the lock of the root."""
    current = current_if_any(root)
    if version == current:
        return
    done = drop_unfinished(read_log(root), current)
    planned = Promotion(version=version, at=at, by=by, over=current)
    lines = [promotion.model_dump_json() for promotion in [*done, planned][-N_REMEMBERED:]]
    # The log first: see above.
    root.write(PROMOTIONS, "".join(f"{line}\n" for line in lines).encode())
    root.write(CURRENT, version.encode())


def drop_unfinished(log: Sequence[Promotion], current: str | None) -> Sequence[Promotion]:
    """The promotions of a log that happened.

    The last one did not if the version that it was to replace is still current.
    """
    is_unfinished = log and log[-1].over == current != log[-1].version
    return log[:-1] if is_unfinished else log


def served_before(log: Sequence[Promotion], current: str | None) -> list[str]:
    """Versions served before the current one, latest first: rollbacks return to them in turn.

    A rollback undoes the promotions after the one that it returns to, so the next rollback goes
    further back. A version may have become current without an entry, because ``current`` was
    edited or the log was lost. The ``over`` of the next entry then names that version.

    Args:
        log: oldest first.
        current: the version that is served.
    """
    stack: list[str] = []
    for promotion in drop_unfinished(log, current):
        if promotion.by == "rollback":
            # Often more than one: a rollback skips versions that were deleted.
            while stack and stack[-1] != promotion.version:
                stack.pop()
        elif promotion.over is not None:
            _push(stack, promotion.over)
        _push(stack, promotion.version)
    return [version for version in reversed(stack) if version != current]


def _push(stack: list[str], version: str) -> None:
    # The replaced version is usually on top already, because its own entry pushed it.
    if stack[-1:] != [version]:
        stack.append(version)


def read_log(root: BundleRoot) -> Sequence[Promotion]:
    """Reads all entries of the log, oldest first; raises SettingsInvalid if one is none."""
    log, damaged = read_entries(root)
    if damaged:
        raise damaged[0]
    return log


def read_entries(root: BundleRoot) -> tuple[list[Promotion], list[SettingsInvalid]]:
    """The entries of the log, oldest first, and what is wrong with the lines that are none."""
    content = root.read(PROMOTIONS) or b""
    log, damaged = [], []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            log.append(Promotion.model_validate_json(line))
        except ValidationError:
            advice = "delete the file to begin a new log (the served version stays)"
            reason = f"line {number} is no promotion; {advice}"
            damaged.append(SettingsInvalid(f"{root.name}/{PROMOTIONS}", reason))
    return log, damaged


def current_if_any(root: BundleRoot) -> str | None:
    """The served version; ``None`` if there is none, or ``current`` is damaged."""
    try:
        return read_current(root)
    except BundleDamaged:
        # It names no version: as good as none, because the next promotion overwrites it.
        return None


def _is_readable(root: BundleRoot, version: str) -> bool:
    try:
        return root.holds(read_manifest_at(root, version))
    except (BundleDamaged, BundleMissing):
        return False
