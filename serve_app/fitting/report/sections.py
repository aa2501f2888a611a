"""What a report says, section by section."""

from serve_app.fitting.judging.measured import CANDIDATES, SERVED
from serve_app.fitting.report.cells import MEASURES, change, day, interval, what
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures
from serve_app.fitting.report.page import Page, Paragraph, Part, Picture, Section, Table


def page_of(facts: Facts, figures: Figures, drawn: frozenset[str]) -> Page:
    """
    Args:
        drawn: names of the plots that there are.
    """
    sections = (
        _verdict(facts),
        _data(facts, figures),
        _quality(facts, figures),
        _users_and_items(),
        _sources(facts),
        _model(facts),
        _reach(facts, figures),
        _tuned(facts),
        _changes(facts, figures),
        _leaks(facts),
    )
    return Page(
        title=f"Fit of the data until {day(facts.split.end_at)}",
        headline="Promoted" if facts.verdict.promoted else "Kept back",
        lead=f"Because {facts.verdict.reason}.",
        good=facts.verdict.promoted,
        sections=[
            Section(section.title, [part for part in section.parts if _is_there(part, drawn)])
            for section in sections
        ],
    )


def _is_there(part: Part, drawn: frozenset[str]) -> bool:
    if isinstance(part, Table):
        return bool(part.rows)
    return not isinstance(part, Picture) or part.name in drawn


def _verdict(facts: Facts) -> Section:
    k = facts.verdict.k
    rows = tuple(
        (
            each.other,
            "better" if each.demand == "better" else "not worse",
            "not compared" if each.difference is None else "yes" if each.passed else "no",
            interval(each.difference, signed=True),
            interval(each.ratio, digits=2),
        )
        for each in facts.verdict.judgements
    )
    absent = [each.sentence for each in facts.verdict.judgements if each.difference is None]
    return Section(
        "Verdict",
        [
            Paragraph(
                f"What {facts.main} must be, against whom, and whether it is. In brackets the 95 %"
                " interval over resampled users, the same for both sides."
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
        ("first interaction", day(facts.first_at)),
        ("models learn from", f"{day(split.train_at)} to {day(split.evaluate_at)}"),
        ("they are measured on", f"{day(split.evaluate_at)} to {day(split.end_at)}"),
        ("test users", f"{len(facts.measured):,}"),
        ("items that they bought", f"{len(facts.measured.relevant):,}"),
        ("of these among the candidates", interval(figures.candidate_recall, digits=3)),
    )
    return Section(
        "Data and windows",
        [
            Paragraph(
                "Candidates and features of each window know only what came before it. Test users"
                " are those who bought something new in the second window."
            ),
            Table(("", "value"), rows),
        ],
    )


def _quality(facts: Facts, figures: Figures) -> Section:
    best = sorted(figures.orders.items(), key=lambda each: -each[1]["ndcg_at_10"].mean)
    rows = tuple(
        (
            name,
            interval(measures["ndcg_at_10"]),
            *(f"{measures[each].mean:.4f}" for each in list(MEASURES)[1:]),
            f"{figures.coverage[name]:.3f}",
        )
        for name, measures in best
    )
    served = f" {SERVED} is the model that is served now." if SERVED in figures.orders else ""
    return Section(
        "How good the lists are",
        [
            Paragraph(
                "NDCG@10 is 1 when all that a user then bought stands on top of his list, and 0"
                " when none of it is among the first ten. Recall is the share of what he bought"
                " that is in the list, hit rate the share of users with any hit, MRR one over the"
                " place of the first hit, coverage the share of all items that anybody's first"
                " twenty hold. A name with _diverse is the list as it is served, popularity the"
                f" same list of best sellers for all.{served}"
            ),
            Picture("orders", "NDCG@10 of every order with its interval, best first"),
            Table(("order", *MEASURES.values(), "coverage@20"), rows),
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
                "A source that offers much of what is recommended and little of the hits misleads"
                f" {facts.main}; one whose hits no other source offers would be missed."
            ),
            Picture("sources", "share of each source in what is recommended and in the hits"),
        ],
    )


def _model(facts: Facts) -> Section:
    return Section(
        "The model",
        [
            Picture("gains", f"the features that {facts.main} gains most from"),
            Paragraph(
                "Probabilities stand above the dashed line where they are too low and below it"
                " where they are too high. What was only clicked or put into the cart counts as"
                " bought in part. Candidates that nobody wanted are thinned out before the model"
                " learns, so it expects more than comes true; the order of a list does not depend"
                " on it."
            ),
            Picture("calibration", "predicted against observed probability"),
        ],
    )


def _reach(facts: Facts, figures: Figures) -> Section:
    rows = tuple(
        (
            each.title,
            f"{each.n_lists / len(facts.measured):.1%}",
            f"{each.n_hits / each.n_lists:.1%}",
        )
        for each in figures.recommended
    )
    return Section(
        "Most recommended",
        [
            Paragraph(
                f"In how many of the users' first ten an item stands, by {facts.main}, and how many"
                " of these users bought it."
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
                "Settings that were chosen on the window that models learn from, in this fit and"
                " in the one of the last bundle."
            ),
            Table(("setting", "before", "now"), rows),
        ],
    )


def _changes(facts: Facts, figures: Figures) -> Section:
    title = "Since the last bundle"
    if facts.previous is None:
        return Section(title, [Paragraph("There is no bundle to compare with.")])
    rows = tuple(
        (what(name, measure), *change(each))
        for (name, measure), each in figures.changes.items()
        if name in ("", facts.main, CANDIDATES) or measure == "ndcg_at_10"
    )
    return Section(
        title,
        [
            Paragraph(
                f"The figures of the last bundle, {facts.previous.version}, were measured on its"
                " own window, so a change is one of the model, of the data, or of both."
            ),
            Table(("", "before", "now", "change"), rows),
        ],
    )


def _leaks(facts: Facts) -> Section:
    rows = tuple(
        (
            each.source,
            interval(each.learnt),
            interval(each.later),
            interval(each.difference, signed=True),
            "suspicious" if each.suspicious else "no",
        )
        for each in facts.leaks
    )
    return Section(
        "Leak check",
        [
            Paragraph(
                "A source that was fitted on the purchases that models learn to foretell is far"
                " better in that window than in the one after it. Seasons move both ways, so only"
                " a large difference is suspicious."
            ),
            Picture("leaks", "NDCG@10 of each source in both windows"),
            Table(("source", "learnt from", "after it", "difference", "leak"), rows),
        ],
    )
