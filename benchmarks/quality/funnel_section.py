"""Writes the section of QUALITY.md about views and carts, and checks its goal."""

from collections.abc import Mapping

from benchmarks.markdown import Section, Table, between
from benchmarks.quality.funnel_run import CART, FUNNEL, WITH, WITHOUT
from benchmarks.quality.kept_results import Document

_NDCG = "ndcg@10"
_MEASURES = (_NDCG, "mrr@10", "hit_rate@10")
_LEAST_RATIO = 1.15


def funnel_sections(runs: Mapping[str, Document]) -> list[Section]:
    return [_section(runs[FUNNEL])] if FUNNEL in runs else []


def _section(document: Document) -> Section:
    told = document["protocol"]
    text = (
        "A simulated shop in which views lead to carts, and carts to purchases"
        f" (`benchmarks/quality/funnel_shop.py`): {told['view']:,} views, {told['cart']:,} carts"
        f" and {told['purchase']:,} purchases of {told['n_users']:,} users. `recserve` is fitted"
        " with all of them, and with the purchases alone. Both answer the same questions of"
        f" {told['n_test_users']:,} users, and rank all {told['n_items']:,} items. The rule lists"
        " what is in the cart, the latest first."
    )
    tables = [_table(asked, found) for asked, found in document["asked"].items()]
    return Section("What views and carts add", [text, *tables, f"{document['seconds']:.0f} s."])


def _table(asked: str, found: Document) -> Table:
    rows = []
    for name in (WITHOUT, WITH, CART):
        figures = found["models"][name]
        ratio = between(found["ratios"][name][_NDCG]) if name in found["ratios"] else ""
        rows.append([name, *(f"{figures[measure]['mean']:.3f}" for measure in _MEASURES), ratio])
    heads = [
        f"{asked} ({found['n_questions']:,} questions)",
        *_MEASURES,
        f"{_NDCG} of {WITH} over it",
    ]
    return Table(heads, rows)


def views_and_carts(runs: Mapping[str, Document]) -> tuple[str, bool]:
    """Ratios of NDCG@10 with views and carts to that without, and whether all reach the goal."""
    ratios = {
        asked: found["ratios"].get(WITHOUT, {}).get(_NDCG)
        for asked, found in runs[FUNNEL]["asked"].items()
    }
    text = ", ".join(f"{between(each)} {asked}" for asked, each in ratios.items() if each)
    return text, all(each is not None and each["low"] >= _LEAST_RATIO for each in ratios.values())
