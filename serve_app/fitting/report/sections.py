"""Writes the text and the tables of a report, section by section."""

from collections.abc import Iterable, Iterator, Mapping

from serve_app.fitting.judging.gate import GateVerdict
from serve_app.fitting.judging.window_results import CANDIDATES, SERVED
from serve_app.fitting.report import cell_text
from serve_app.fitting.report.document import Document, Part, Picture, Section, Table
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures

_USERS_AND_ITEMS = (
    Picture("activity", "NDCG@10 by counted interactions before the moment"),
    Picture("ages", "shares of listed, recommended and wanted items by age"),
    Picture("age_recall", "share of the wanted items that were found, by age"),
)

_NO_PLOTS = (
    "This report has no plots because matplotlib is not installed. Run pip install"
    " 'recserve[report]' and fit again to get them."
)


def write_document(facts: Facts, figures: Figures, drawn: frozenset[str]) -> Document:
    """Writes all sections of the report.

    Args:
        drawn: names of the plots that exist; pictures of others are left out. If there are none,
            the report says how to get them.
    """
    sections: Mapping[str, Iterable[Part]] = {
        "Verdict": _write_verdict(facts),
        "Data and windows": _write_data(facts, figures),
        "How good the lists are": _write_quality(facts, figures),
        "For whom, and for which items": (_write_untried(facts), *_USERS_AND_ITEMS),
        "Where recommendations come from": _write_sources(facts),
        "The model": _write_model(facts),
        "Most recommended": _write_most_recommended(facts, figures),
        "What the data chose": _write_tuned(facts),
        "Since the last bundle": _write_changes(facts, figures),
        "Leak check": _write_leaks(facts),
        **({} if drawn else {"Plots": [_NO_PLOTS]}),
    }
    return Document(
        title=f"Fit of the data until {cell_text.write_day(facts.split.end_at)}",
        headline=_headline(facts.verdict),
        lead=f"Because {facts.verdict.reason}.",
        good=facts.verdict.promoted,
        sections=[
            Section(title, [part for part in parts if _has_content(part, drawn)])
            for title, parts in sections.items()
        ],
    )


def _headline(verdict: GateVerdict) -> str:
    if not verdict.promoted:
        return "Kept back"
    return "Promoted" if verdict.order == "model" else f"Promoted, ordered by {verdict.order}"


def _has_content(part: Part, drawn: frozenset[str]) -> bool:
    if isinstance(part, Table):
        return bool(part.rows)
    return not isinstance(part, Picture) or part.name in drawn


def _write_verdict(facts: Facts) -> Iterator[Part]:
    k, judgements = facts.verdict.k, facts.verdict.judgements
    yield (
        f"Each row is one demand on {facts.main}, and tells if it holds. Brackets hold the 95 %"
        " interval; both sides are resampled with the same users."
    )
    rows = [
        (
            judgement.other,
            "better" if judgement.demand == "better" else "not worse",
            "not compared" if judgement.difference is None else "yes" if judgement.passed else "no",
            cell_text.write_interval(judgement.difference, signed=True),
            cell_text.write_interval(judgement.ratio, digits=2),
        )
        for judgement in judgements
    ]
    yield Table(("against", "demanded", "holds", f"NDCG@{k} difference", "ratio"), rows)
    for judgement in judgements:
        if judgement.difference is None:
            yield f"{judgement.sentence.capitalize()}."
    yield Picture("ratios", f"NDCG@{k} of {facts.main} over that of each other order")


def _write_data(facts: Facts, figures: Figures) -> Iterator[Part]:
    yield (
        "Histories end at the moment of each user, and tables at the beginning of the window."
        f" An item is wanted if the counted interaction ({facts.counted}) follows in the window and"
        " the item could still be recommended to the user. Test users are those who wanted any item"
        " in the second window."
    )
    split = facts.split
    days = [cell_text.write_day(at) for at in (split.train_at, split.evaluate_at, split.end_at)]
    recall = cell_text.write_interval(figures.candidate_recall, digits=3)
    rows = [
        ("interactions", f"{facts.n_interactions:,}"),
        ("users", f"{facts.n_users:,}"),
        ("items", f"{facts.n_items:,}"),
        ("first interaction", cell_text.write_day(facts.first_at)),
        ("models learn from", " to ".join(days[:2])),
        ("they are measured on", " to ".join(days[1:])),
        ("test users", f"{len(facts.results):,}"),
        ("items that they wanted", f"{len(facts.results.relevant):,}"),
        ("of these among the candidates", recall),
    ]
    yield Table(("", "value"), rows)


def _write_quality(facts: Facts, figures: Figures) -> Iterator[Part]:
    served = f" {SERVED} is the model that is served now." if SERVED in figures.orders else ""
    yield (
        "NDCG@10 is 1 if all items that the user then wanted stand on top of the list. It is 0 if"
        " none of them is among the first ten. Recall@k is the number of wanted items among the"
        " first k, over k or all wanted items if these are fewer. Hit rate is the share of users"
        " with any hit. MRR is one over the position of the first hit. Coverage is the share of all"
        " items in at least one user's first twenty. A name with _diverse is the list as it is"
        f" served. popularity is the list of best sellers, the same for all users.{served}"
    )
    yield Picture("orders", "NDCG@10 of every order with its interval, best first")
    first, *others = cell_text.METRIC_NAMES
    rows = [
        (
            name,
            cell_text.write_interval(metrics[first]),
            *(f"{metrics[metric].mean:.4f}" for metric in others),
            f"{figures.coverage[name]:.3f}",
        )
        for name, metrics in sorted(figures.orders.items(), key=lambda order: -order[1][first].mean)
    ]
    yield Table(("order", *cell_text.METRIC_NAMES.values(), "coverage@20"), rows)


def _write_untried(facts: Facts) -> str:
    untried = facts.untried
    return (
        f"Of the first ten places that the new bundle gives to {untried.n_users:,} users,"
        f" {untried.recommended:.1%} hold an item without any interaction, and so have"
        f" {untried.listed:.1%} of the items. No figure of this report covers such items. The"
        " setting ranking.max_untried_share bounds them in each list."
    )


def _write_sources(facts: Facts) -> Iterator[Part]:
    yield (
        f"A source misleads {facts.main} if it offers many of the recommended items but few of the"
        " hits. A source is needed if no other source offers its hits."
    )
    yield Picture("sources", "share of each source in the recommended items and in the hits")


def _write_model(facts: Facts) -> Iterator[Part]:
    yield Picture("gains", f"the features that {facts.main} gains most from")
    yield (
        "Probabilities are those of users with a history."
        " Points above the dashed line mean that probabilities are too low, points below it that"
        " they are too high. Uncounted interactions, except views, make an item wanted in part."
        " Models learn from few of the candidates that nobody wanted, which makes"
        " probabilities too high; the order of a list does not depend on that."
    )
    yield Picture("calibration", "predicted against observed probability")


def _write_most_recommended(facts: Facts, figures: Figures) -> Iterator[Part]:
    yield (
        f"Share of the users whose first ten of {facts.main} hold the item, and share of these"
        " users who wanted it."
    )
    n_users = len(facts.results)
    rows = [
        (item.title, f"{item.n_lists / n_users:.1%}", f"{item.n_hits / item.n_lists:.1%}")
        for item in figures.recommended
    ]
    yield Table(("item", "lists", "wanted"), rows)


def _write_tuned(facts: Facts) -> Iterator[Part]:
    yield (
        "The fit chooses these settings on the window that models learn from. The table shows the"
        " values of the last bundle and of this fit."
    )
    before = facts.previous.metrics.get("tuning", {}) if facts.previous else {}
    rows = [
        (name, f"{before[name]:g}" if name in before else "–", f"{value:g}")
        for name, value in facts.tuned.items()
    ]
    yield Table(("setting", "before", "now"), rows)


def _write_changes(facts: Facts, figures: Figures) -> Iterator[Part]:
    if facts.previous is None:
        yield "There is no bundle to compare with."
        return
    yield (
        f"The figures of the last bundle, {facts.previous.version}, were measured on its own"
        " window. A change may come from the model, from the data, or from both."
    )
    rows = [
        (cell_text.write_metric(order, metric), *cell_text.write_change(change))
        for (order, metric), change in figures.changes.items()
        if order in ("", facts.main, CANDIDATES) or metric == "ndcg_at_10"
    ]
    yield Table(("", "before", "now", "change"), rows)


def _write_leaks(facts: Facts) -> Iterator[Part]:
    yield (
        "A source that was fitted on the interactions that models learn to predict is far better in"
        " that window than in the window after it. Seasons move both figures: only a large"
        " difference is suspicious."
    )
    yield Picture("leaks", "NDCG@10 of each source in both windows")
    rows = [
        (
            leak.source,
            cell_text.write_interval(leak.learnt),
            cell_text.write_interval(leak.later),
            cell_text.write_interval(leak.difference, signed=True),
            "suspicious" if leak.suspicious else "no",
        )
        for leak in facts.leaks
    ]
    yield Table(("source", "learnt from", "after it", "difference", "leak"), rows)
