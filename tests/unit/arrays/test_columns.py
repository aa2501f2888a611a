import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.columns import (
    MISSING,
    IdIndex,
    TagsColumn,
    TextColumn,
    Texts,
    hash_ids,
)

property_test = settings(max_examples=150, deadline=None)

texts = st.text(max_size=8)
few_words = st.sampled_from(["", "a", "b", "ä", "猫", "a b"])


class TestTexts:
    @property_test
    @given(st.lists(texts, max_size=8))
    def test_gives_back_every_string(self, strings):
        packed = Texts.of(strings)

        assert list(packed) == strings
        assert len(packed) == len(strings)
        assert packed.take(range(len(strings))) == strings
        assert (packed.data.dtype, packed.offsets.dtype) == (np.uint8, np.int64)

    @property_test
    @given(st.lists(texts, min_size=1, max_size=8), st.data())
    def test_takes_rows_in_the_order_asked_for(self, strings, data):
        rows = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=8))

        assert Texts.of(strings).take(rows) == [strings[row] for row in rows]
        assert [Texts.of(strings)[row] for row in rows] == [strings[row] for row in rows]

    def test_takes_a_generator(self):
        assert Texts.of(word for word in ("a", "b")).take([1]) == ["b"]


class TestIdIndex:
    @property_test
    @given(st.lists(texts, unique=True, max_size=10), st.lists(texts, max_size=10))
    def test_finds_the_row_of_each_id_and_of_no_other(self, ids, others):
        found = IdIndex.of(ids).find([*ids, *others])

        expected = [*range(len(ids)), *(ids.index(o) if o in ids else MISSING for o in others)]
        assert found.tolist() == expected
        assert found.dtype == np.int32

    @property_test
    @given(st.dictionaries(texts, st.integers(0, 2**31 - 1), max_size=10))
    def test_gives_the_rows_that_it_was_given(self, row_of):
        rows = np.array(list(row_of.values()), np.int32)
        index = IdIndex.of(list(row_of), rows)

        assert index.find(list(row_of)).tolist() == rows.tolist()
        assert (np.diff(index.hashes.astype(object)) > 0).all()

    def test_hashes_never_change(self):
        # Bundles hold them: an index written by another build must still be found in.
        assert hash_ids(["", "i1", "猫"]).tolist() == [
            13020603013274838756,
            778860755400141486,
            4140028929945838904,
        ]


class TestTextColumn:
    @property_test
    @given(st.lists(st.none() | few_words, max_size=10))
    def test_gives_back_each_word(self, words):
        column = TextColumn.of(words)

        assert [column.word(row) for row in range(len(words))] == words
        assert column.codes.dtype == np.int32

    @property_test
    @given(st.lists(st.none() | few_words, max_size=10))
    def test_numbers_each_word_once(self, words):
        column = TextColumn.of(words)

        assert column.n_words == len(set(words) - {None}) == len(column.code_of)
        assert all(column.vocabulary.at(code) == word for word, code in column.code_of.items())

    @property_test
    @given(st.lists(few_words, max_size=10), st.randoms(use_true_random=False))
    def test_codes_do_not_depend_on_the_order_of_the_rows(self, words, random):
        shuffled = random.sample(words, len(words))

        assert TextColumn.of(words).code_of == TextColumn.of(shuffled).code_of


class TestTagsColumn:
    @property_test
    @given(st.lists(st.lists(few_words, max_size=4), max_size=8))
    def test_gives_back_the_distinct_words_of_each_row(self, rows):
        column = TagsColumn.of(rows)

        assert [column.words(row) for row in range(len(rows))] == [
            sorted(set(words)) for words in rows
        ]
        assert column.codes.dtype == np.int32
        assert column.offsets[-1] == len(column.codes)

    @property_test
    @given(st.lists(st.lists(few_words, max_size=4), max_size=8))
    def test_numbers_each_word_once(self, rows):
        column = TagsColumn.of(rows)

        assert set(column.code_of) == {word for words in rows for word in words}
        assert all(column.vocabulary.at(code) == word for word, code in column.code_of.items())
