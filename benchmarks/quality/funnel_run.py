"""Measures what views and carts add: one shop is fitted with them as history, and without them.

The questions and the wanted purchases are the same, and so are the ranked items and the settings.
Each purchase is asked for twice: at its own moment, and when its visit begins. ``CART`` is no model
but the obvious rule: it lists what is in the cart, the latest first.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.home import CONFIG, ROOT
from benchmarks.quality.kept_results import Document, key_of, key_of_files, load_or_make
from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.ragged import offsets_of, pad
from serve_app.domain.interactions import PURCHASE, TYPE_CODES, TYPE_GRADES
from serve_app.domain.unfinished import find_unfinished
from serve_app.evaluation.served import fit_on_training
from serve_app.fitting.data.labels import LabelConfig
from serve_app.fitting.data.windows import select_interactions
from serve_app.loading.in_memory import LoadedFiles, read_files
from serve_app.loading.load import InputFiles
from serve_app.measuring.lists import Lists
from serve_app.next_items.next_evaluator import NextConfig
from serve_app.next_items.next_measures import ALL, measure_answers
from serve_app.next_items.next_protocol import NextProtocolConfig, NextSplit, split_sessions
from serve_app.next_items.next_questions import RankedLog, known_histories
from serve_app.next_items.next_served import answer_questions
from serve_app.operations.fits.fit_settings import ours_config

FUNNEL = "funnel"
WITH, WITHOUT, CART = "views, carts and purchases", "purchases alone", "rule: latest in the cart"
ASKED: Mapping[str, bool] = {"at each purchase": False, "when its visit begins": True}
"""Moments of the questions, in words, and if they lie at the beginning of a visit."""

_K = 10
_CART_GRADE = TYPE_GRADES[TYPE_CODES["cart"]]

Progress = Callable[[str, float], None]


def run_funnel(files: InputFiles, work: Path, progress: Progress) -> Document:
    """Fits and measures both shops with the settings that the project serves, or loads results."""
    ours = ours_config(CONFIG, ROOT / "configs/fit.yaml", n_threads=os.cpu_count())
    config = NextConfig(ours=ours)
    data = key_of_files(file for _, file in files.given())
    code = key_of_files([*(ROOT / "serve_app").rglob("*.py"), Path(__file__)])
    key = key_of(data, config.model_dump_json(), code)
    return load_or_make(
        work / "runs", FUNNEL, key, lambda: compare_histories(files, config, progress)
    )


def compare_histories(files: InputFiles, config: NextConfig, progress: Progress) -> Document:
    """Compares lists by all events with lists by purchases alone.

    Raises:
        NotEnoughData: there is too little to fit or to ask.
    """
    started_at = time.perf_counter()
    loaded = read_files(files, config.reading, lambda share: None, now_at=time.time())
    splits = {name: _split(loaded, at_start) for name, at_start in ASKED.items()}
    lists = {name: {CART: list_carts(split, _K)} for name, split in splits.items()}
    without = {name: purchases_alone(split) for name, split in splits.items()}
    for history, asked in {WITHOUT: without, WITH: splits}.items():
        for name, found in _answer(loaded, asked, history, config, progress).items():
            lists[name][history] = found
    return {
        "protocol": _describe(loaded, next(iter(splits.values()))),
        "asked": {name: _measure(lists[name], split, config) for name, split in splits.items()},
        "seconds": time.perf_counter() - started_at,
    }


def _split(loaded: LoadedFiles, at_start: bool) -> NextSplit:
    # Purchases of items that the user has bought before are no hits, as in a fit by default.
    return split_sessions(
        loaded.log, NextProtocolConfig(label=LabelConfig(), at_session_start=at_start)
    )


def _answer(
    loaded: LoadedFiles,
    splits: Mapping[str, NextSplit],
    history: str,
    config: NextConfig,
    progress: Progress,
) -> dict[str, Lists]:
    def tell(step: str, share: float) -> None:
        progress(f"{FUNNEL}, {history}: {step}", share)

    # The splits differ in their questions only.
    result = fit_on_training(loaded, next(iter(splits.values())), config.ours, tell)
    return {
        name: answer_questions(result, split, _K, config.ours, tell).plain
        for name, split in splits.items()
    }


def _measure(lists: Mapping[str, Lists], split: NextSplit, config: NextConfig) -> Document:
    found = measure_answers(
        lists,
        split.questions,
        split.wanted,
        split.n_items,
        (_K,),
        [WITH],
        config.n_resamples,
        config.seed,
    )
    document: Document = json.loads(
        json.dumps(
            {
                "n_questions": found.n_questions[ALL],
                "models": {
                    name: {measure: each._asdict() for measure, each in figures.items()}
                    for name, figures in found.models[ALL].items()
                },
                "ratios": {
                    other: {measure: each._asdict() for measure, each in compared.ratio.items()}
                    for other, compared in found.comparisons[ALL][WITH].items()
                },
            }
        )
    )
    return document


def _describe(loaded: LoadedFiles, split: NextSplit) -> dict[str, int]:
    counts = np.bincount(loaded.log.types, minlength=len(TYPE_GRADES))
    return {
        **{name: int(counts[TYPE_CODES[name]]) for name in ("view", "cart", "purchase")},
        "n_users": len(loaded.log.user_ids),
        "n_items": split.n_items,
        "n_test_users": len(np.unique(split.questions.users)),
    }


def purchases_alone(split: NextSplit) -> NextSplit:
    """The same questions and wanted items, of a shop that records nothing but purchases."""
    log, kept = split.log, split.log.events["type"] == PURCHASE
    # A purchase that is asked for keeps its place among those that are left.
    places = np.concatenate(([0], np.cumsum(kept)))
    questions = replace(
        split.questions,
        **{
            name: places[getattr(split.questions, name)]
            for name in ("user_starts", "session_starts", "ends")
        },
    )
    return replace(
        split,
        known=select_interactions(split.known, split.known.types == PURCHASE),
        log=_select(log, kept),
        questions=questions,
    )


def _select(log: RankedLog, kept: Mask) -> RankedLog:
    names = ("events", "users", "items", "counted", "ends", "sessions")
    return replace(log, **{name: getattr(log, name)[kept] for name in names})


def list_carts(split: NextSplit, width: int) -> Lists:
    """Lists what is in the cart of each question's user, the latest first, and nothing else."""
    histories = known_histories(split.log, split.questions, slice(0, len(split.questions)))
    n_rows = int(split.item_rows.max()) + 1
    found = find_unfinished(histories, n_rows)
    in_cart = np.flatnonzero(found.grades == _CART_GRADE)
    of_question, rows = np.divmod(found.keys[in_cart], n_rows)
    order = np.lexsort((found.places[in_cart], of_question))
    number_of = np.full(n_rows, MISSING, np.int32)
    number_of[split.item_rows] = np.arange(split.n_items)
    lengths = np.bincount(of_question, minlength=len(split.questions))
    return pad(number_of[rows[order]], offsets_of(lengths), width, MISSING)
