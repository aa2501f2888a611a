from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.deployments.questions import Question, answer_key
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filter_parsing import parse_filter

CHEAP = parse_filter({"price": {"lte": 20}}, STANDARD_COLUMNS)
DEAR = parse_filter({"price": {"gte": 20}}, STANDARD_COLUMNS)
QUESTION = Question("ann", 10, CHEAP, "main", include_metadata=False)
TEXT = st.text(max_size=5).filter(lambda text: text.isascii())
QUESTIONS = st.builds(
    Question, TEXT, st.integers(1, 100), st.sampled_from([None, CHEAP, DEAR]), TEXT, st.booleans()
)


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
    assert answer_key(replace(QUESTION, **change), "v1") != answer_key(QUESTION, "v1")


def test_every_field_of_a_question_is_part_of_the_key():
    assert {field.name for field in fields(Question)} == {
        *("user_id", "n", "wanted", "variant", "include_metadata")
    }


def test_another_version_has_other_keys():
    assert answer_key(QUESTION, "v1") != answer_key(QUESTION, "v2")


def test_parts_do_not_run_into_each_other():
    first, second = replace(QUESTION, user_id="1", n=10), replace(QUESTION, user_id="11", n=0)

    assert answer_key(first, "v1") != answer_key(second, "v1")
    assert answer_key(replace(QUESTION, variant="a", user_id="bc"), "v") != answer_key(
        replace(QUESTION, variant="ab", user_id="c"), "v"
    )


def test_is_the_same_in_every_process():
    assert answer_key(QUESTION, "v1") == "recserve:answer:1:4f7926a6567177d050d9f7a8472d1d7a"


@given(QUESTIONS, QUESTIONS, TEXT, TEXT)
def test_keys_are_equal_exactly_for_equal_questions(first, second, one, other):
    same = (first, one) == (second, other)

    assert (answer_key(first, one) == answer_key(second, other)) == same
