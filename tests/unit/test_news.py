import pytest

from serve_app.news import ChangeLogger


@pytest.fixture
def told():
    return []


@pytest.fixture
def news(told):
    return ChangeLogger(told.append)


def test_tells_the_same_once(news, told):
    for _ in range(3):
        news.wrong("v1", "damaged")

    assert told == ["damaged"]


def test_tells_what_has_changed(news, told):
    for what in ("damaged", "gone", "damaged"):
        news.wrong("v1", what)

    assert told == ["damaged", "gone", "damaged"]


def test_tells_each_subject_apart(news, told):
    for _ in range(2):
        news.wrong("v1", "one is damaged")
        news.wrong("v2", "two is damaged")

    assert told == ["one is damaged", "two is damaged"]


def test_tells_it_again_when_all_was_well_meanwhile(news, told):
    news.wrong("v1", "damaged")
    news.well("v1")
    news.wrong("v1", "damaged")

    assert told == ["damaged"] * 2
