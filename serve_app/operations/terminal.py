"""What commands show on a terminal while they work and when they are done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from serve_app.fitting.run import Progress
from serve_app.loading.load import LoadSummary


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A bar per step; each step begins when the one before is done."""
    bars: dict[str, tqdm[Any]] = {}

    def show(step: str, share: float) -> None:
        if step not in bars:
            _close(bars)
            bars[step] = tqdm(total=100, desc=step, unit="%", bar_format=_BAR)
        bars[step].update(100 * share - bars[step].n)

    try:
        yield show
    finally:
        _close(bars)


_BAR = "{desc:<32}{percentage:3.0f}%|{bar:30}| {elapsed}"


def _close(bars: "dict[str, tqdm[Any]]") -> None:
    for bar in bars.values():
        bar.close()


def load_report(summary: LoadSummary) -> str:
    """What a load came to, a line or two per file."""
    lines = []
    for one in summary.files:
        counts = one.counts
        lines.append(
            f"{one.kind}: {one.n_rows} rows, {counts.new} new, {counts.changed} changed,"
            f" {counts.unchanged} unchanged, {counts.repeated} repeated"
        )
        if one.rejects:
            reasons = ", ".join(f"{n} {reason}" for reason, n in one.rejects.items())
            lines.append(f"  {sum(one.rejects.values())} rejected ({reasons}): {one.rejects_file}")
    if summary.n_bare_items:
        lines.append(f"{summary.n_bare_items} items are known from interactions only")
    return "\n".join(lines)
