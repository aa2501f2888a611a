"""Splits a shop's sessions at one moment, and asks a question at every next event of the later."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Mask, Rows
from serve_app.arrays.grouping import in_sorted, positions_in
from serve_app.arrays.ragged import gather, offsets_of
from serve_app.arrays.units import DAY_S, MINUTE_S
from serve_app.domain.interactions import RETURN, InteractionLog
from serve_app.domain.sessions import SESSION_GAP_S, session_numbers
from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.evaluation.protocol import iso_time, ranked_rows
from serve_app.fitting.data.labels import Label, LabelConfig, choose_label
from serve_app.fitting.data.windows import are_lasting, select_before, select_interactions
from serve_app.measuring.lists import Wanted
from serve_app.next_items.next_questions import (
    Questions,
    RankedLog,
    questions_at,
    ranked_log,
)


class NextProtocolConfig(Settings):
    """Settings of the sessions, the test period, the ranked items and the questions."""

    session_gap_minutes: float = Field(
        default=SESSION_GAP_S / MINUTE_S,
        gt=0,
        description="A longer pause between two events of a user ends a session.",
    )
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="Share of the latest sessions used as the test set."
    )
    days_earlier: float = Field(
        default=0.0,
        ge=0,
        description="Days by which the test period moves back. Later interactions are ignored.",
    )
    min_buyers: int = Field(
        default=5,
        ge=1,
        description="Items that fewer users interacted with before the test period are not ranked.",
    )
    at_session_start: bool = Field(
        default=False,
        description="Ask once, when a session begins, for the counted items of the whole session.",
    )
    label: LabelConfig = Field(
        default=LabelConfig(repeats=True),
        description="Events that are predicted. Without `repeats` only items new to the user are.",
    )
    max_sessions: int = Field(
        default=10_000, ge=1, description="Most test sessions. More are sampled at random."
    )
    seed: int = Field(default=7, ge=0, description="Seed of the sample of test sessions.")


_OTHER_TYPE = (
    "set `label.type` in --settings to a type that the whole period has (view, click, cart,"
    " purchase or rating), or choose another --test-share"
)


@dataclass(frozen=True, slots=True)
class NextSplit:
    """A shop's sessions, split where the test sessions begin.

    Attributes:
        cut_at: epoch seconds; training events lie before it.
        end_at: epoch seconds; last moment of the test.
        known: training events with the ranked items; users and rows as in the whole log.
        item_rows: shape (n_items,), int32, catalogue rows of the ranked items.
        log: events with the ranked items until ``end_at``.
        questions: in the order of their moments.
        wanted: items of each question: those of the counted events at its moment.
        n_sessions: test sessions with a question.
        n_eligible: test sessions before ``max_sessions`` were sampled.
    """

    cut_at: float
    end_at: float
    label: Label
    session_gap_s: float
    known: InteractionLog
    item_rows: Rows
    log: RankedLog
    questions: Questions
    wanted: Wanted
    n_sessions: int
    n_eligible: int

    @property
    def n_items(self) -> int:
        return len(self.item_rows)


def split_sessions(log: InteractionLog, config: NextProtocolConfig) -> NextSplit:
    """Splits sessions at the moment from which the latest ``test_share`` of them begin.

    Raises:
        NotEnoughData: nothing is left to train on or to ask.
    """
    is_event = log.types != RETURN
    if not is_event.any():
        raise NotEnoughData("there are no interactions")
    label = choose_label(log, config.label)
    shift_s = config.days_earlier * DAY_S
    gap_s = config.session_gap_minutes * MINUTE_S
    sessions = session_numbers(log.users, log.at, gap_s)
    began_at = log.at[np.flatnonzero(np.diff(sessions, prepend=-1))]
    # A return alone is no visit: it can neither be asked for, nor move the split.
    visits = np.unique(sessions[is_event])
    cut_at = float(np.quantile(began_at[visits], 1 - config.test_share)) - shift_s
    end_at = float(log.at.max()) - shift_s
    earlier = select_before(log, cut_at)
    rows = ranked_rows(earlier, config.min_buyers)
    known = select_interactions(earlier, np.isin(earlier.rows, rows))
    _check_training(log, earlier, known, label, cut_at, config)
    ranked = _with_ranked_items(log, rows, label, sessions, end_at)
    eligible = _test_sessions(ranked, began_at, cut_at)
    chosen = _sample(eligible, config)
    questions, wanted = _ask(ranked, chosen, at_session_start=config.at_session_start)
    _check_questions(len(eligible), len(questions), label, cut_at)
    return NextSplit(
        cut_at=cut_at,
        end_at=end_at,
        label=label,
        session_gap_s=gap_s,
        known=known,
        item_rows=rows,
        log=ranked,
        questions=questions,
        wanted=wanted,
        n_sessions=len(np.unique(questions.sessions)),
        n_eligible=len(eligible),
    )


def _check_training(
    log: InteractionLog,
    earlier: InteractionLog,
    known: InteractionLog,
    label: Label,
    cut_at: float,
    config: NextProtocolConfig,
) -> None:
    """Checks that models have something to learn from.

    Args:
        earlier: what was known before the cut, with all items.
        known: the same, with the ranked items.
    """
    begin = f"before the test sessions, which begin {iso_time(cut_at)}"
    if not len(earlier):
        raise NotEnoughData(
            f"no interaction lies {begin}: the first one is of {iso_time(float(log.at.min()))}."
            " Lower --test-share or --days-earlier"
        )
    if not len(known):
        raise NotEnoughData(
            f"no item has interactions with at least {config.min_buyers} users {begin}:"
            " lower --min-buyers"
        )
    if not label.counts(known).any():
        raise NotEnoughData(f"no {label.hit} lies {begin}: {_OTHER_TYPE}")


def _check_questions(n_sessions: int, n_questions: int, label: Label, cut_at: float) -> None:
    begin = f"from {iso_time(cut_at)} on"
    if not n_sessions:
        raise NotEnoughData(
            f"no session of two or more events with ranked items begins {begin}: raise"
            " --session-gap-minutes or --test-share, or lower --min-buyers"
        )
    if not n_questions:
        raise NotEnoughData(
            f"no session of two events or more that begins {begin} has a {label.hit} to predict:"
            f" {_OTHER_TYPE}"
        )


def _with_ranked_items(
    log: InteractionLog, rows: Rows, label: Label, sessions: NDArray[np.int64], end_at: float
) -> RankedLog:
    item_of_row = np.full(int(log.rows.max()) + 1, MISSING, np.int32)
    item_of_row[rows] = np.arange(len(rows))
    kept = (item_of_row[log.rows] != MISSING) & (log.at <= end_at)
    return ranked_log(
        select_interactions(log, kept),
        item_of_row,
        # A purchase that was taken back later is not wanted.
        (label.counts(log) & are_lasting(log, end_at))[kept],
        label.ending_types[log.types][kept],
        sessions[kept],
    )


def _test_sessions(
    log: RankedLog, began_at: NDArray[np.float64], cut_at: float
) -> NDArray[np.int64]:
    """Numbers of the sessions of two events or more that begin at the cut or later."""
    sessions, n_events = np.unique(log.sessions, return_counts=True)
    return sessions[(n_events >= 2) & (began_at[sessions] >= cut_at)]


def _sample(sessions: NDArray[np.int64], config: NextProtocolConfig) -> NDArray[np.int64]:
    if len(sessions) <= config.max_sessions:
        return sessions
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.choice(sessions, config.max_sessions, replace=False))


def _ask(
    log: RankedLog, sessions: NDArray[np.int64], *, at_session_start: bool
) -> tuple[Questions, Wanted]:
    """Asks at each moment with counted events, or once per session, for all items from there on."""
    asked = log.counted & in_sorted(log.sessions, sessions)
    # The first event of a moment, or of a session, stands for it.
    starts = log.session_starts() if at_session_start else log.moment_starts()
    keys = np.unique(starts[asked] * log.n_items + log.items[asked])
    ends, items = np.divmod(keys[_are_new(log, keys)], log.n_items)
    ends, lengths = np.unique(ends, return_counts=True)
    order = np.argsort(log.at[ends], kind="stable")
    positions, offsets = gather(offsets_of(lengths), order)
    return questions_at(log, ends[order]), Wanted(offsets, items[positions].astype(np.int32))


def _are_new(log: RankedLog, keys: NDArray[np.int64]) -> Mask:
    """Tells which items, by keys of a moment and an item, no earlier event of the user ended."""
    pairs = log.users.astype(np.int64) * log.n_items + log.items
    ended, first = np.unique(pairs[log.ends], return_index=True)
    if not len(ended):
        return np.ones(len(keys), bool)
    # Positions ascend with time within a user: the first event of a pair decides.
    ended_at = np.flatnonzero(log.ends)[first]
    starts, items = np.divmod(keys, log.n_items)
    asked = log.users[starts].astype(np.int64) * log.n_items + items
    found = positions_in(asked, ended)
    return np.asarray((ended[found] != asked) | (ended_at[found] >= starts), bool)
