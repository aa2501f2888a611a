"""What is published: the versions at a glance, and one of them in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from serve_app.bundles.bundle import current_version, manifest_of, versions
from serve_app.bundles.manifest import Manifest, ModelManifest, lacking_models
from serve_app.bundles.promotion_log import Promotion, StoredVerdict
from serve_app.bundles.promotions import promotions, rollback_target
from serve_app.bundles.version_reports import read_report, read_verdict, report_location
from serve_app.domain.scoring.model_features import DAY_S
from serve_app.errors import BundleDamaged, BundleMissing
from serve_app.operations.text_tables import aligned

MEASURE = "ndcg_at_10"
NONE = "–"


@dataclass(frozen=True, slots=True)
class _Readable:
    manifest: Manifest
    verdict: StoredVerdict | None


def listing(root: str) -> str:
    """
    Every version under the root, a line each, in the order in which they were published.

    Raises:
        StoreUnavailable: the object store did not answer.
    """
    published = versions(root)
    if not published:
        return f"nothing is published under {root}: `recserve fit` does"
    current, faults = _current(root)
    found: dict[str, _Readable | None] = {}
    for version in published:
        try:
            found[version] = _Readable(manifest_of(root, version), read_verdict(root, version))
        except BundleDamaged as error:
            found[version] = None
            faults.append(str(error))
    parts = [_versions_table(found, current), *faults]
    target = rollback_target(root)
    if target is not None:
        parts.append(f"* is served; `recserve models rollback` would serve {target}")
    return "\n".join(parts)


def page(root: str, version: str | None, variants: Sequence[str]) -> str:
    """
    All that a version says of itself, and its fit of it.

    Args:
        version: None for the one that is served.
        variants: that are served.

    Raises:
        BundleMissing: no such version, or none is served.
        BundleDamaged: it cannot be read, or its report.
        StoreUnavailable: the object store did not answer.
    """
    current, faults = _current(root)
    shown = version or current
    if shown is None:
        raise BundleMissing(root, "current", versions(root))
    manifest = manifest_of(root, shown)
    made_current = [each for each in promotions(root) if each.version == shown]
    parts = [
        "\n".join([f"{shown} is {'' if shown == current else 'not '}served", *faults]),
        _facts(root, manifest, made_current),
        _models_table(manifest, variants),
        *_metrics_tables(manifest),
    ]
    return "\n\n".join(parts)


def _current(root: str) -> tuple[str | None, list[str]]:
    """The version that is served, and what is wrong with the file that names it."""
    try:
        return current_version(root), []
    except BundleDamaged as error:
        return None, [f"{error}: `recserve models promote` writes it anew"]


def _versions_table(found: Mapping[str, _Readable | None], current: str | None) -> str:
    variants = dict.fromkeys(
        name for each in found.values() if each is not None for name in each.manifest.models
    )
    header = ["", "version", "published (UTC)", "items", "users", "interactions"]
    header += [*(f"ndcg@10 {name}" for name in variants), "verdict"]
    rows = []
    for version, each in found.items():
        mark = "*" if version == current else " "
        if each is None:
            rows.append([mark, version, *[NONE] * (len(header) - 3), "unreadable"])
            continue
        manifest = each.manifest
        sizes = (manifest.n_items, manifest.n_users, manifest.n_interactions)
        figures = (_measure(manifest.models.get(name)) for name in variants)
        cells = [_minute(manifest.created_at), *map(str, sizes), *figures, _word(each.verdict)]
        rows.append([mark, version, *cells])
    return aligned(header, rows)


def _facts(root: str, manifest: Manifest, made_current: Sequence[Promotion]) -> str:
    has_report = read_report(root, manifest.version) is not None
    verdict = read_verdict(root, manifest.version)
    location = report_location(root, manifest.version)
    rows = [
        ("published", f"{_minute(manifest.created_at)} UTC"),
        (
            "holds",
            f"{manifest.n_items} items, {manifest.n_users} users,"
            f" {manifest.n_interactions} interactions",
        ),
        ("knows until", f"{_minute(manifest.until_at)} UTC"),
        ("measured on", f"{_minute(manifest.measured_from_at)} to {_minute(manifest.until_at)}"),
        ("labels from", f"the last {manifest.horizon_s / DAY_S:.1f} days"),
        ("verdict", _word(verdict) + (f": {verdict.reason}" if verdict else "")),
        ("report", location if has_report else f"none (would lie in {location})"),
        *(("promoted", f"{_minute(each.at)} UTC by {each.by}") for each in made_current),
    ]
    return "\n".join(f"{name:<12} {value}" for name, value in rows)


def _models_table(manifest: Manifest, variants: Sequence[str]) -> str:
    lacking = lacking_models(manifest, variants)
    rows = [
        [
            name,
            model.objective,
            str(model.n_trees),
            str(len(model.features)),
            NONE if model.held_out is None else "kept",
            ("not usable" if name in lacking else "yes") if name in variants else "no",
        ]
        for name, model in manifest.models.items()
    ]
    rows += [[name, *[NONE] * 4, "missing"] for name in variants if name not in manifest.models]
    return aligned(["model", "objective", "trees", "features", "held out", "served"], rows)


def _metrics_tables(manifest: Manifest) -> list[str]:
    """One table for all that have the same measures; what was tuned has others."""
    measured = {name: model.metrics for name, model in manifest.models.items()}
    by_measures: dict[tuple[str, ...], list[list[str]]] = {}
    for name, metrics in {**measured, **manifest.metrics}.items():
        figures = [f"{value:.4g}" for value in metrics.values()]
        by_measures.setdefault(tuple(metrics), []).append([name, *figures])
    return [aligned(["", *names], rows) for names, rows in by_measures.items() if names]


def _measure(model: ModelManifest | None) -> str:
    value = None if model is None else model.metrics.get(MEASURE)
    return NONE if value is None else f"{value:.4f}"


def _word(verdict: StoredVerdict | None) -> str:
    if verdict is None:
        return "unknown"
    return "promoted" if verdict.promoted else "kept back"


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
