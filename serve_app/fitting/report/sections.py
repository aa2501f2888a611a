"""Writes the text and the tables of a report, section by section."""

from serve_app.fitting.judging.window_results import CANDIDATES, SERVED
from serve_app.fitting.report.cell_text import (
    METRIC_NAMES,
    write_change,
    write_day,
    write_interval,
    write_metric,
)
from serve_app.fitting.report.document import Document, Paragraph, Part, Picture, Section, Table
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures


def write_document(facts: Facts, figures: Figures, drawn: frozenset[str]) -> Document:
    """
    Args:
        drawn: names of the plots that exist; pictures of others are left out.
            There are none where matplotlib is missing; then the report says so.
    """
    sections = (
        _verdict(facts),
        _data(facts, figures),
        _quality(facts, figures),
        _users_and_items(),
        _sources(facts),
        _model(facts),
        _most_recommended(facts, figures),
        _tuned(facts),
        _changes(facts, figures),
        _leaks(facts),
        *([] if drawn else [_missing_plots()]),
    )
    return Document(
        title=f"Fit of the data until {write_day(facts.split.end_at)}",
        headline="Promoted" if facts.verdict.promoted else "Kept back",
        lead=f"Because {facts.verdict.reason}.",
        good=facts.verdict.promoted,
        sections=[
            Section(section.title, [part for part in section.parts if _has_content(part, drawn)])
            for section in sections
        ],
    )


def _missing_plots() -> Section:
    reason = "This report has no plots because matplotlib is not installed."
    remedy = "Run pip install 'recserve[report]' and fit again to get them."
    return Section("Plots", [Paragraph(f"{reason} {remedy}")])


def _has_content(part: Part, drawn: frozenset[str]) -> bool:
    if isinstance(part, Table):
        return bool(part.rows)
    return not isinstance(part, Picture) or part.name in drawn


def _verdict(facts: Facts) -> Section:
    k = facts.verdict.k
    judgements = facts.verdict.judgements
    rows = tuple(
        (
            judgement.other,
            "better" if judgement.demand == "better" else "not worse",
            "not compared" if judgement.difference is None else "yes" if judgement.passed else "no",
            write_interval(judgement.difference, signed=True),
            write_interval(judgement.ratio, digits=2),
        )
        for judgement in judgements
    )
    absent = [judgement.sentence for judgement in judgements if judgement.difference is None]
    return Section(
        "Verdict",
        [
            Paragraph(
                f"Each row is one demand on {facts.main}, and tells if it holds. Brackets hold the"
                " 95 % interval; both sides are resampled with the same users."
            ),
            Table(("against", "demanded", "holds", f"NDCG@{k} difference", "ratio"), rows),
            *(Paragraph(f"{sentence.capitalize()}.") for sentence in absent),
            Picture("ratios", f"NDCG@{k} of {facts.main} over that of each other order"),
        ],
    )


def _data(facts: Facts, figures: Figures) -> Section:
    split = facts.split
    rows = (
        ("interactions", f"{facts.n_interactions:,}"),
        ("users", f"{facts.n_users:,}"),
        ("items", f"{facts.n_items:,}"),
        ("first interaction", write_day(facts.first_at)),
        ("models learn from", f"{write_day(split.train_at)} to {write_day(split.evaluate_at)}"),
        ("they are measured on", f"{write_day(split.evaluate_at)} to {write_day(split.end_at)}"),
        ("test users", f"{len(facts.results):,}"),
        ("items that they bought", f"{len(facts.results.relevant):,}"),
        ("of these among the candidates", write_interval(figures.candidate_recall, digits=3)),
    )
    return Section(
        "Data and windows",
        [
            Paragraph(
                "Candidates and features of a window know only what came before the window. Test"
                " users are those who bought something new in the second window."
            ),
            Table(("", "value"), rows),
        ],
    )


def _quality(facts: Facts, figures: Figures) -> Section:
    best_first = sorted(figures.orders.items(), key=lambda order: -order[1]["ndcg_at_10"].mean)
    rows = tuple(
        (
            name,
            write_interval(metrics["ndcg_at_10"]),
            *(f"{metrics[metric].mean:.4f}" for metric in list(METRIC_NAMES)[1:]),
            f"{figures.coverage[name]:.3f}",
        )
        for name, metrics in best_first
    )
    served = f" {SERVED} is the model that is served now." if SERVED in figures.orders else ""
    return Section(
        "How good the lists are",
        [
            Paragraph(
                "NDCG@10 is 1 if all items that the user then bought stand on top of the list. It"
                " is 0 if none of them is among the first ten. Recall@k is the number of bought"
                " items among the first k, over k or all bought items if these are fewer. Hit rate"
                " is the share of users with any hit. MRR is one over the position of the first"
                " hit. Coverage is the share of all items in at least one user's first twenty. A"
                " name with _diverse is the list as it is served. popularity is the list of best"
                f" sellers, the same for all users.{served}"
            ),
            Picture("orders", "NDCG@10 of every order with its interval, best first"),
            Table(("order", *METRIC_NAMES.values(), "coverage@20"), rows),
        ],
    )


def _users_and_items() -> Section:
    return Section(
        "For whom, and for which items",
        [
            Picture("activity", "NDCG@10 by purchases before the window"),
            Picture("ages", "shares of listed, recommended and bought items by age"),
            Picture("age_recall", "share of the bought items that were found, by age"),
        ],
    )


def _sources(facts: Facts) -> Section:
    return Section(
        "Where recommendations come from",
        [
            Paragraph(
                f"A source misleads {facts.main} if it offers many of the recommended items but few"
                " of the hits. A source is needed if no other source offers its hits."
            ),
            Picture("sources", "share of each source in the recommended items and in the hits"),
        ],
    )


def _model(facts: Facts) -> Section:
    return Section(
        "The model",
        [
            Picture("gains", f"the features that {facts.main} gains most from"),
            Paragraph(
                "Points above the dashed line mean that probabilities are too low, points below it"
                " that they are too high. An item that was only clicked or put into the cart counts"
                " as bought in part. Models learn from few of the candidates that nobody wanted,"
                " which makes probabilities too high; the order of a list does not depend on that."
            ),
            Picture("calibration", "predicted against observed probability"),
        ],
    )


def _most_recommended(facts: Facts, figures: Figures) -> Section:
    rows = tuple(
        (
            item.title,
            f"{item.n_lists / len(facts.results):.1%}",
            f"{item.n_hits / item.n_lists:.1%}",
        )
        for item in figures.recommended
    )
    return Section(
        "Most recommended",
        [
            Paragraph(
                f"Share of the users whose first ten of {facts.main} hold the item, and share of"
                " these users who bought it."
            ),
            Table(("item", "lists", "bought"), rows),
        ],
    )


def _tuned(facts: Facts) -> Section:
    before = facts.previous.metrics.get("tuning", {}) if facts.previous else {}
    rows = tuple(
        (name, f"{before[name]:g}" if name in before else "–", f"{value:g}")
        for name, value in facts.tuned.items()
    )
    return Section(
        "What the data chose",
        [
            Paragraph(
                "The fit chooses these settings on the window that models learn from. The table"
                " shows the values of the last bundle and of this fit."
            ),
            Table(("setting", "before", "now"), rows),
        ],
    )


def _changes(facts: Facts, figures: Figures) -> Section:
    title = "Since the last bundle"
    if facts.previous is None:
        return Section(title, [Paragraph("There is no bundle to compare with.")])
    rows = tuple(
        (write_metric(order, metric), *write_change(change))
        for (order, metric), change in figures.changes.items()
        if order in ("", facts.main, CANDIDATES) or metric == "ndcg_at_10"
    )
    return Section(
        title,
        [
            Paragraph(
                f"The figures of the last bundle, {facts.previous.version}, were measured on its"
                " own window. A change may come from the model, from the data, or from both."
            ),
            Table(("", "before", "now", "change"), rows),
        ],
    )


def _leaks(facts: Facts) -> Section:
    rows = tuple(
        (
            leak.source,
            write_interval(leak.learnt),
            write_interval(leak.later),
            write_interval(leak.difference, signed=True),
            "suspicious" if leak.suspicious else "no",
        )
        for leak in facts.leaks
    )
    return Section(
        "Leak check",
        [
            Paragraph(
                "A source that was fitted on the purchases that models learn to predict is far"
                " better in that window than in the window after it. Seasons move both figures:"
                " only a large difference is suspicious."
            ),
            Picture("leaks", "NDCG@10 of each source in both windows"),
            Table(("source", "learnt from", "after it", "difference", "leak"), rows),
        ],
    )
