from serve_app.running.text_table import aligned


def test_aligns_numbers_to_the_right_and_words_to_the_left():
    assert aligned(("name", "n", "share"), [("a", "10", "1/2"), ("bcdef", "9", "–")]) == (
        "name    n  share\na      10    1/2\nbcdef   9      –"
    )


def test_a_table_without_rows_is_its_header():
    assert aligned(("name", "n"), []) == "name  n"
