import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import MISSING, FlagColumn, IdIndex, TextColumn, Texts
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import TYPE_CODES, TYPES
from serve_app.domain.item_patches import ItemNames
from serve_app.recommending.ranking.reasons import (
    REASON_CODES,
    REASONS,
    RECENT_ITEMS,
    SOURCE_REASONS,
    choose_reasons,
    reason_text,
)
from serve_app.recommending.scoring.model_features import SOURCES

ABSENT = np.nan
BOARD, KITCHEN = 1, 1


def choose(ranks, because=MISSING, did="view", category=KITCHEN, highly_rated=False, untried=False):
    """Name and subject of one candidate's reason; ``ranks`` by source."""
    reasons, subjects = choose_reasons(
        np.array([[ranks.get(source, ABSENT) for source in SOURCES]], np.float32),
        SOURCES,
        np.array([because], np.int32),
        np.array([TYPE_CODES[did]], np.uint8),
        np.array([category], np.int32),
        np.array([highly_rated]),
        np.array([untried]),
    )
    return REASONS[reasons[0]].name, int(subjects[0])


class TestChooseReasons:
    @pytest.mark.parametrize(
        ("candidate", "expected"),
        [
            ({"ranks": {"similar_users": 1}}, ("similar_users", MISSING)),
            ({"ranks": {"favorite_categories": 1}}, ("favorite_category", KITCHEN)),
            ({"ranks": {"new_items": 1}}, ("new_items", KITCHEN)),
            ({"ranks": {"new_items": 1}, "category": MISSING}, ("new_items", MISSING)),
            ({"ranks": {"popular": 1}}, ("popular", MISSING)),
            ({"ranks": {"popular": 9}, "highly_rated": True}, ("highly_rated", KITCHEN)),
            ({"ranks": {}}, ("popular", MISSING)),
            ({"ranks": {}, "highly_rated": True}, ("highly_rated", KITCHEN)),
            ({"ranks": {"popular": 2, "new_items": 1}}, ("new_items", KITCHEN)),
            ({"ranks": {"popular": 1, "new_items": 2}}, ("popular", MISSING)),
            (
                {"ranks": {"popular": 1, "new_items": 2}, "highly_rated": True},
                ("popular", MISSING),
            ),
            ({"ranks": {"similar_users": 3, "new_items": 3}}, ("similar_users", MISSING)),
            ({"ranks": {"popular": 3, "new_items": 3}}, ("new_items", KITCHEN)),
        ],
    )
    def test_the_source_that_ranks_a_candidate_best_decides(self, candidate, expected):
        assert choose(**candidate) == expected

    @pytest.mark.parametrize(
        ("candidate", "expected"),
        [
            ({"ranks": {"popular": 1}}, ("untried", KITCHEN)),
            ({"ranks": {}, "category": MISSING}, ("untried", MISSING)),
            ({"ranks": {"favorite_categories": 1}}, ("untried", KITCHEN)),
            ({"ranks": {"new_items": 1, "popular": 2}}, ("new_items", KITCHEN)),
            ({"ranks": {RECENT_ITEMS: 1}, "because": BOARD}, ("because_viewed", BOARD)),
        ],
    )
    def test_never_calls_an_item_popular_that_nobody_has_tried(self, candidate, expected):
        assert choose(**candidate, untried=True) == expected

    @pytest.mark.parametrize(
        ("did", "reason"),
        [
            ("view", "because_viewed"),
            ("click", "because_viewed"),
            ("cart", "because_viewed"),
            ("purchase", "because_bought"),
            ("rating", "because_rated"),
        ],
    )
    def test_names_the_item_of_the_history_and_what_was_done_with_it(self, did, reason):
        assert choose({RECENT_ITEMS: 1, "popular": 2}, BOARD, did) == (reason, BOARD)

    def test_does_not_speak_of_recent_items_without_knowing_which(self):
        assert choose({RECENT_ITEMS: 1, "popular": 2}, MISSING) == ("popular", MISSING)
        assert choose({RECENT_ITEMS: 1}, MISSING, highly_rated=True) == ("highly_rated", KITCHEN)

    def test_no_candidates_have_no_reasons(self):
        reasons, subjects = choose_reasons(
            np.zeros((0, len(SOURCES)), np.float32),
            SOURCES,
            np.zeros(0, np.int32),
            np.zeros(0, np.uint8),
            np.zeros(0, np.int32),
            np.zeros(0, bool),
            np.zeros(0, bool),
        )

        assert (reasons.dtype, subjects.dtype) == (np.uint8, np.int32)
        assert (reasons.shape, subjects.shape) == ((0,), (0,))

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_each_candidate_is_judged_by_itself(self, seed):
        rng = np.random.default_rng(seed)
        n = 7
        ranks = rng.integers(1, 5, (n, len(SOURCES))).astype(np.float32)
        ranks[rng.random(ranks.shape) < 0.5] = ABSENT
        columns = (
            rng.integers(MISSING, 3, n).astype(np.int32),
            rng.integers(0, len(TYPES), n).astype(np.uint8),
            rng.integers(MISSING, 2, n).astype(np.int32),
            rng.random(n) < 0.5,
            rng.random(n) < 0.5,
        )

        together = choose_reasons(ranks, SOURCES, *columns)
        alone = [
            choose_reasons(ranks[[i]], SOURCES, *(values[[i]] for values in columns))
            for i in range(n)
        ]

        assert together[0].tolist() == [int(reasons[0]) for reasons, _ in alone]
        assert together[1].tolist() == [int(subjects[0]) for _, subjects in alone]


class TestTables:
    def test_every_source_has_a_reason(self):
        assert {*SOURCE_REASONS, RECENT_ITEMS} == set(SOURCES)

    def test_every_kind_of_interaction_has_a_reason(self):
        assert all(kind.reason in REASON_CODES for kind in TYPES)

    def test_names_are_distinct_and_used(self):
        of_interactions = {kind.reason for kind in TYPES}
        named = {*SOURCE_REASONS.values(), *of_interactions, "highly_rated", "untried"}

        assert named == {reason.name for reason in REASONS}
        assert len(REASON_CODES) == len(REASONS)


@pytest.fixture(scope="module")
def catalogue():
    ids = ["i0", "i1"]
    return Catalogue(
        version="v1",
        item_ids=Texts.of(ids),
        titles=Texts.of(["Rake {}", "Oak serving board"]),
        index=IdIndex.of(ids),
        listed=np.ones(2, bool),
        columns={
            "category": TextColumn.of(["garden", "kitchen"]),
            "in_stock": FlagColumn.of([True, True]),
        },
        vectors=np.zeros((2, 2), np.float32),
        features=np.zeros((2, 0), np.float32),
    )


@pytest.mark.parametrize(
    ("reason", "subject", "text"),
    [
        ("because_bought", BOARD, "Because you bought Oak serving board"),
        ("because_viewed", 0, "Because you viewed Rake {}"),
        ("because_rated", BOARD, "Because you rated Oak serving board"),
        ("similar_users", MISSING, "Popular with people like you"),
        ("favorite_category", KITCHEN, "Popular in kitchen"),
        ("favorite_category", MISSING, "Popular right now"),
        ("new_items", KITCHEN, "New in kitchen"),
        ("new_items", MISSING, "New"),
        ("highly_rated", KITCHEN, "Highly rated in kitchen"),
        ("highly_rated", MISSING, "Highly rated"),
        ("popular", MISSING, "Popular right now"),
        ("untried", KITCHEN, "More in kitchen"),
        ("untried", MISSING, "More to discover"),
    ],
)
def test_says_the_reason_in_words(catalogue, reason, subject, text):
    assert reason_text(REASON_CODES[reason], subject, ItemNames.of(catalogue)) == text


def test_every_reason_can_be_said_with_and_without_a_subject(catalogue):
    for code in range(len(REASONS)):
        for subject in (MISSING, 0):
            assert reason_text(code, subject, ItemNames.of(catalogue))
