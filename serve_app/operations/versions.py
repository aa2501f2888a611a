"""Lists and shows the published versions; promotes one, or rolls back to an earlier one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from serve_app.arrays.units import DAY_S
from serve_app.bundles import promotions as bundle_promotions
from serve_app.bundles.bundle import current_version, manifest_of, open_bundle, versions
from serve_app.bundles.manifest import Manifest, ModelManifest, Order, unusable_variants
from serve_app.bundles.promotions import Promotion
from serve_app.bundles.roots import BundleLocation
from serve_app.bundles.version_reports import (
    StoredVerdict,
    read_report,
    read_verdict,
    report_location,
)
from serve_app.errors import BundleDamaged, BundleMissing, PromotionRefused
from serve_app.running.text_table import aligned

MEASURE = "ndcg_at_10"
NONE = "–"

_ORDERS: Mapping[Order, str] = {
    "model": "the model of each variant",
    "popularity": "popularity: no model was better",
}


class _Readable(NamedTuple):
    manifest: Manifest
    verdict: StoredVerdict | None


def promote(bundles: BundleLocation, version: str, *, force: bool, at: float) -> str | None:
    """Makes a published version the served one.

    Returns:
        The objections that ``force`` overruled; ``None`` when there were none.

    Raises:
        BundleMissing: there is no such version.
        BundleDamaged: this build cannot open the version, or read its report; ``force`` does not
            help.
        PromotionRefused: there are objections, and ``force`` is not set.
    """
    root, variants = bundles.root, bundles.variants
    reasons = (_missing_boosters(root, version, variants), _gate_objection(root, version))
    objections = "; ".join(reason for reason in reasons if reason is not None)
    if objections and not force:
        raise PromotionRefused(version, objections)
    _open(bundles, version)
    bundle_promotions.promote(root, version, at=at, by="forced" if objections else "operator")
    return objections or None


def rollback(bundles: BundleLocation, *, at: float) -> str:
    """Makes the version current that was served before the current one, and returns it.

    Raises:
        NothingServedBefore: no earlier version is left.
        PromotionRefused: replicas would refuse the earlier version.
        BundleDamaged: the earlier version cannot be opened.
    """
    root, variants = bundles.root, bundles.variants
    target = bundle_promotions.rollback_target(root)
    if target is not None and (objection := _missing_boosters(root, target, variants)):
        raise PromotionRefused(target, objection)
    if target is not None:
        _open(bundles, target)
    return bundle_promotions.rollback(root, at=at)


def describe_publication(root: str, manifest: Manifest) -> str:
    """Says in one line what a fit has published.

    Args:
        manifest: as the fit returned it.
    """
    version = manifest.version
    if manifest_of(root, version).created_at == manifest.created_at:
        return f"published {version}"
    return f"published {version} again: its contents have not changed"


def listing(root: str) -> str:
    """Describes every version under the root in one line each, in order of publication.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    published = versions(root)
    if not published:
        return f"nothing is published under {root}: `recserve fit` does"
    current, faults = _current(root)
    contents: dict[str, _Readable | None] = {}
    for version in published:
        try:
            contents[version] = _Readable(manifest_of(root, version), read_verdict(root, version))
        except BundleDamaged as error:  # one bad version must not hide the others
            contents[version] = None
            faults.append(str(error))
    parts = [_versions_table(contents, current), *faults]
    target = bundle_promotions.rollback_target(root)
    if target is not None:
        parts.append(f"* is served; `recserve versions rollback` would serve {target}")
    return "\n".join(parts)


def page(root: str, version: str | None, variants: Sequence[str]) -> str:
    """Describes one version in full: its contents, promotions, boosters and measures.

    Args:
        version: ``None`` for the served version.

    Raises:
        BundleMissing: there is no such version, or none is served.
        BundleDamaged: the version or its report cannot be read.
        StoreUnavailable: the object store did not answer.
    """
    current, faults = _current(root)
    shown = version or current
    if shown is None:
        raise BundleMissing(root, "current", versions(root))
    manifest = manifest_of(root, shown)
    made_current = [entry for entry in bundle_promotions.promotions(root) if entry.version == shown]
    parts = [
        "\n".join([f"{shown} is {'' if shown == current else 'not '}served", *faults]),
        _facts(root, manifest, made_current, current),
        _boosters_table(manifest, variants),
        *_metrics_tables(manifest),
    ]
    return "\n\n".join(parts)


def _open(bundles: BundleLocation, version: str) -> None:
    """Opens a version as replicas do, and compares all its hashes; raises BundleDamaged."""
    # It imports XGBoost, which would slow down the listing.
    from serve_app.bundles.models.loading import load_model

    bundle = open_bundle(bundles.root, version, cache_dir=bundles.cache_dir, verify=True)
    lacking = unusable_variants(bundle.manifest, bundles.variants)
    for variant in set(bundles.variants) - set(lacking):
        load_model(bundle, variant)


def _gate_objection(root: str, version: str) -> str | None:
    verdict = read_verdict(root, version)
    if verdict is None or verdict.promoted:
        return None
    return f"its fit kept it back ({verdict.reason})"


def _missing_boosters(root: str, version: str, variants: Sequence[str]) -> str | None:
    lacking = unusable_variants(manifest_of(root, version), variants)
    if not lacking:
        return None
    names = ", ".join(lacking)
    return f"it has no model of {names} that this build can use, so replicas would not take it up"


def _current(root: str) -> tuple[str | None, list[str]]:
    """Reads the served version, and the faults of the file that names it."""
    try:
        return current_version(root), []
    except BundleDamaged as error:
        return None, [f"{error}: `recserve versions promote` writes it anew"]


def _versions_table(contents: Mapping[str, _Readable | None], current: str | None) -> str:
    variants = dict.fromkeys(
        name for entry in contents.values() if entry is not None for name in entry.manifest.models
    )
    header = ["", "version", "published (UTC)", "items", "users", "interactions"]
    header += [*(f"ndcg@10 {name}" for name in variants), "verdict"]
    rows = []
    for version, entry in contents.items():
        mark = "*" if version == current else " "
        if entry is None:
            rows.append([mark, version, *[NONE] * (len(header) - 3), "unreadable"])
            continue
        manifest = entry.manifest
        sizes = (manifest.n_items, manifest.n_users, manifest.n_interactions)
        measures = (_measure(manifest.models.get(name)) for name in variants)
        word = _word(entry.verdict, manifest, current)
        cells = [_minute(manifest.created_at), *map(str, sizes), *measures, word]
        rows.append([mark, version, *cells])
    return aligned(header, rows)


def _facts(
    root: str, manifest: Manifest, made_current: Sequence[Promotion], current: str | None
) -> str:
    has_report = read_report(root, manifest.version) is not None
    verdict = read_verdict(root, manifest.version)
    location = report_location(root, manifest.version)
    contents = f"{manifest.n_items} items, {manifest.n_users} users"
    rows = [
        ("published", f"{_minute(manifest.created_at)} UTC"),
        ("holds", f"{contents}, {manifest.n_interactions} interactions"),
        ("knows until", f"{_minute(manifest.until_at)} UTC"),
        ("measured on", f"{_minute(manifest.measured_from_at)} to {_minute(manifest.until_at)}"),
        ("lists are", f"ordered by {_ORDERS[manifest.order]}"),
        ("labels from", f"the last {manifest.horizon_s / DAY_S:.1f} days"),
        ("verdict", _word(verdict, manifest, current) + (f": {verdict.reason}" if verdict else "")),
        ("report", location if has_report else f"none (would lie in {location})"),
        *(("promoted", f"{_minute(entry.at)} UTC by {entry.by}") for entry in made_current),
    ]
    return "\n".join(f"{name:<12} {value}" for name, value in rows)


def _boosters_table(manifest: Manifest, variants: Sequence[str]) -> str:
    lacking = unusable_variants(manifest, variants)
    rows = [
        [
            name,
            model.objective,
            str(model.n_trees),
            str(len(model.features)),
            NONE if model.held_out is None else "kept",
            _served(
                served=name in variants and manifest.order == "model", usable=name not in lacking
            ),
        ]
        for name, model in manifest.models.items()
    ]
    rows += [[name, *[NONE] * 4, "missing"] for name in variants if name not in manifest.models]
    return aligned(["variant", "objective", "trees", "features", "held out", "served"], rows)


def _metrics_tables(manifest: Manifest) -> list[str]:
    """Makes one table for each set of measures: tuned parameters have other columns than lists."""
    measured = {name: model.metrics for name, model in manifest.models.items()}
    by_measures: dict[tuple[str, ...], dict[str, Sequence[float]]] = {}
    for name, metrics in {**measured, **manifest.metrics}.items():
        by_measures.setdefault(tuple(metrics), {})[name] = [*metrics.values()]
    return [_metrics_table(names, rows) for names, rows in by_measures.items() if names]


def _metrics_table(names: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    """A row for each list; a line for each measure where there are more of them than lists."""
    if len(rows) == 1:
        [(list_name, values)] = rows.items()
        lines = zip(names, values, strict=True)
        return aligned([list_name, ""], [[name, f"{value:.4g}"] for name, value in lines])
    columns = map(_figures, zip(*rows.values(), strict=True))
    return aligned(["", *names], [[*cells] for cells in zip(rows, *columns, strict=True)])


def _figures(values: Sequence[float]) -> list[str]:
    """Figures of one column, all with the same number of decimals."""
    if all(float(value).is_integer() for value in values) and max(values) > 1:
        return [f"{value:.0f}" for value in values]
    return [f"{value:.4f}" for value in values]


def _measure(model: ModelManifest | None) -> str:
    value = None if model is None else model.metrics.get(MEASURE)
    return NONE if value is None else f"{value:.4f}"


def _served(*, served: bool, usable: bool) -> str:
    return "no" if not served else "yes" if usable else "not usable"


def _word(verdict: StoredVerdict | None, manifest: Manifest, current: str | None) -> str:
    if verdict is None:
        return "unknown"
    if verdict.promoted:
        return "promoted" if manifest.order == "model" else f"promoted, by {manifest.order}"
    # An operator has decided otherwise: the served version is not kept back.
    return "overruled" if manifest.version == current else "kept back"


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
