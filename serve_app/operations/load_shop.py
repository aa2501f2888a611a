"""Loads files into the database and makes the values in the cache expire."""

import time

from serve_app.database.schema import connect, shop_id
from serve_app.fitting.run import Progress
from serve_app.loading.load import InputFiles, LoadConfig, LoadSummary, load
from serve_app.operations.command_cache import begin_new_epoch
from serve_app.operations.workplace import Workplace


def load_files(
    workplace: Workplace, files: InputFiles, config: LoadConfig, progress: Progress
) -> LoadSummary:
    """Loads files and discards every cached value that older data produced.

    Raises:
        DataRejected: a file has too many bad rows or a wrong form; nothing was loaded.
        SettingsInvalid: a store does not answer, or stored values are of no chosen kind.
        DatabaseFailed: PostgreSQL ended the work; nothing was loaded.
    """
    with workplace.stores() as urls, connect(urls.database, "the load") as conn:
        summary = load(
            conn,
            files,
            config,
            lambda file, share: progress(f"loading {file.name}", share),
            now_at=time.time(),
            wait=lambda: progress("waiting for another load", 0.0),
        )
        # After the commit: a request that came between would cache old rows in the new epoch.
        begin_new_epoch(urls.redis, str(shop_id(conn)))
    return summary


def load_report(summary: LoadSummary) -> str:
    """Describes a finished load: one line per file, and one more for its rejected rows."""
    lines = []
    for file in summary.files:
        counts = file.counts
        lines.append(
            f"{file.kind}: {file.n_rows} rows, {counts.new} new, {counts.changed} changed,"
            f" {counts.unchanged} unchanged, {counts.repeated} repeated"
        )
        if file.rejects:
            reasons = ", ".join(f"{n} {reason}" for reason, n in file.rejects.items())
            n_rejected = sum(file.rejects.values())
            lines.append(f"  {n_rejected} rejected ({reasons}): {file.rejects_file}")
        lines.extend(f"  {note}" for note in file.notes)
    if summary.n_bare_items:
        lines.append(f"{summary.n_bare_items} items are known from interactions only")
    return "\n".join(lines)
