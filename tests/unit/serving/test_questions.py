from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.parsing import parse_filter
from serve_app.serving.questions import (
    Answer,
    Question,
    answer_key,
    decode_answer,
    encode_answer,
    pack_rows,
)

CHEAP = parse_filter({"price": {"lte": 20}}, STANDARD_COLUMNS)
DEAR = parse_filter({"price": {"gte": 20}}, STANDARD_COLUMNS)
QUESTION = Question("ann", 10, CHEAP, "main", include_metadata=False)
TEXT = st.text(max_size=5).filter(lambda text: text.isascii())
QUESTIONS = st.builds(
    Question, TEXT, st.integers(1, 100), st.sampled_from([None, CHEAP, DEAR]), TEXT, st.booleans()
)


def key_of(question, version="v1", settings="{}"):
    return answer_key(question, version, settings)


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "bob"},
        {"n": 11},
        {"wanted": None},
        {"wanted": DEAR},
        {"variant": "challenger"},
        {"include_metadata": True},
    ],
    ids=str,
)
def test_every_part_of_a_question_changes_its_key(change):
    assert key_of(replace(QUESTION, **change)) != key_of(QUESTION)


def test_every_field_of_a_question_is_part_of_the_key_but_the_moment_which_is_not_cached():
    assert {field.name for field in fields(Question)} == {
        *("user_id", "n", "wanted", "variant", "include_metadata"),
        "at",
    }


def test_another_version_and_other_settings_have_other_keys():
    assert key_of(QUESTION, "v1") != key_of(QUESTION, "v2")
    assert key_of(QUESTION, settings="a") != key_of(QUESTION, settings="b")
    assert key_of(QUESTION, "ab", "c") != key_of(QUESTION, "a", "bc")


def test_parts_do_not_run_into_each_other():
    first, second = replace(QUESTION, user_id="1", n=10), replace(QUESTION, user_id="11", n=0)

    assert key_of(first) != key_of(second)
    assert key_of(replace(QUESTION, variant="a", user_id="bc")) != key_of(
        replace(QUESTION, variant="ab", user_id="c")
    )


def test_is_the_same_in_every_process():
    assert key_of(QUESTION) == "answer:5:146d7c366973969c56d1abf98af7fa60"


@given(QUESTIONS, QUESTIONS, TEXT, TEXT)
def test_keys_are_equal_exactly_for_equal_questions(first, second, one, other):
    same = (first, one) == (second, other)

    assert (key_of(first, one) == key_of(second, other)) == same


@pytest.mark.parametrize("n_items", [0, 1, 256, 70_000])
def test_a_cached_answer_is_read_as_it_was_written(n_items):
    rows = pack_rows(np.arange(n_items, dtype=np.int32))
    answer = Answer(b'[{"item_id":"a"}]', n_items, "v1", revision=2**40, rows=rows)

    assert decode_answer(encode_answer(answer), "v1") == replace(answer, cached=True)
    by_popularity = replace(answer, cached=True, order="popularity")
    assert decode_answer(encode_answer(answer), "v1", "popularity") == by_popularity
