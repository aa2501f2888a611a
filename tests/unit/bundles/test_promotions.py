"""Tests promotions under both kinds of roots, with real files, and the log by itself."""

from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.bundles.bundle import current_version, versions
from serve_app.bundles.local import LocalRoot
from serve_app.bundles.promotions import (
    N_REMEMBERED,
    Promotion,
    drop_unfinished,
    promote,
    promotions,
    rollback,
    rollback_target,
    served_before,
)
from serve_app.bundles.publishing import publish
from serve_app.bundles.remote import RemoteRoot
from serve_app.errors import BundleDamaged, BundleMissing, NothingServedBefore, SettingsInvalid
from tests.support.small_bundles import contents_of, of_another_format


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "bundles"


@pytest.fixture(params=["", "file://"], ids=["folder", "URI"])
def root(request, folder):
    return f"{request.param}{folder}"


def publish_one(root, n_trees, **options):
    return publish(root, contents_of(n_trees), created_at=float(n_trees), **options).version


@pytest.fixture
def three(root):
    return [publish_one(root, n_trees) for n_trees in (1, 2, 3)]


@contextmanager
def death_before(fatal):
    """The process dies when it is about to write the file."""

    def dying(write):
        def write_or_die(self, file, content):
            if file == fatal:
                raise Died
            write(self, file, content)

        return write_or_die

    with pytest.MonkeyPatch.context() as patched:
        for kind in (LocalRoot, RemoteRoot):
            patched.setattr(kind, "write", dying(kind.write))
        with pytest.raises(Died):
            yield


def history(root):
    return [(each.version, each.by) for each in promotions(root)]


class TestPublish:
    def test_writes_down_what_a_fit_made_current(self, root, three):
        assert history(root) == [(version, "fit") for version in three]
        assert [each.at for each in promotions(root)] == [1.0, 2.0, 3.0]
        assert [each.over for each in promotions(root)] == [None, *three[:2]]

    def test_keeps_a_version_without_serving_it(self, root):
        served = publish_one(root, 1)
        kept = publish_one(root, 2, promote=False)

        assert versions(root) == [served, kept]
        assert current_version(root) == served
        assert history(root) == [(served, "fit")]

    def test_serves_nothing_where_the_first_is_kept_back(self, root):
        publish_one(root, 1, promote=False)

        assert current_version(root) is None
        assert promotions(root) == []

    def test_writes_nothing_down_when_the_current_one_is_published_again(self, root, three):
        publish_one(root, 3)

        assert history(root) == [(version, "fit") for version in three]

    def test_remembers_the_latest_only(self, root, three):
        for i in range(N_REMEMBERED):
            promote(root, three[i % 2], at=0.0)

        assert len(promotions(root)) == N_REMEMBERED
        assert promotions(root)[-1].version == current_version(root) == three[1]

    def test_leaves_no_file_half_written(self, root, three, folder):
        assert {path.name for path in folder.iterdir()} - {".lock"} == {
            *three,
            "current",
            "promotions.jsonl",
        }


class TestPruning:
    def test_keeps_what_is_served_and_where_a_rollback_leads(self, root):
        first, second = publish_one(root, 1), publish_one(root, 2)
        rest = [publish_one(root, n, promote=False, n_kept=2) for n in range(3, 7)]

        assert versions(root) == [first, second, *rest[-2:]]
        assert rollback(root, at=9.0) == first

    def test_keeps_what_was_just_published_however_old_it_is(self, root):
        first, second = publish_one(root, 1, promote=False), publish_one(root, 2)

        assert publish_one(root, 1, promote=False, n_kept=1) == first
        assert versions(root) == [first, second]

    def test_keeps_where_a_second_rollback_leads_once_the_first_is_done(self, root, three):
        rollback(root, at=9.0)

        publish_one(root, 4, promote=False, n_kept=1)

        assert versions(root)[:2] == three[:2]
        assert rollback(root, at=9.0) == three[0]


class TestPromote:
    def test_serves_an_older_version(self, root, three):
        promote(root, three[0], at=5.0, by="forced")

        assert current_version(root) == three[0]
        assert promotions(root)[-1].model_dump() == {
            "version": three[0],
            "at": 5.0,
            "by": "forced",
            "over": three[2],
        }

    def test_writes_nothing_down_for_the_version_that_is_served(self, root, three):
        promote(root, three[2], at=5.0)

        assert len(promotions(root)) == 3

    @pytest.mark.parametrize("version", ["20231114-00000000", "../x"])
    def test_refuses_a_version_that_is_not_there(self, root, three, version):
        with pytest.raises(BundleMissing, match=f"there are {', '.join(three)}"):
            promote(root, version, at=5.0)

        assert current_version(root) == three[2]

    def test_mends_a_current_that_names_no_version(self, root, three, folder):
        (folder / "current").write_text("?")

        promote(root, three[1], at=5.0)

        assert current_version(root) == three[1]
        assert rollback_target(root) == three[2]

    def test_refuses_a_folder_in_the_place_of_current(self, three, folder):
        (folder / "current").unlink()
        (folder / "current").mkdir()

        with pytest.raises(SettingsInvalid, match="current: is a folder, and must be a file"):
            promote(str(folder), three[1], at=5.0)

        assert not list(folder.glob(".current-*")), "nothing is left half written"


class TestDamagedCurrent:
    @pytest.fixture(autouse=True)
    def _damaged(self, three, folder):
        (folder / "current").write_text("?")

    def test_is_mended_by_a_fit(self, root, three):
        fourth = publish_one(root, 4)

        assert current_version(root) == fourth
        assert rollback(root, at=9.0) == three[2]

    def test_is_mended_by_a_rollback_to_what_was_promoted_last(self, root, three):
        assert rollback(root, at=9.0) == three[2]
        assert current_version(root) == three[2]
        assert rollback(root, at=9.0) == three[1]

    def test_keeps_a_fit_that_promotes_nothing_from_pruning(self, root, three):
        with pytest.raises(BundleDamaged, match="names no version"):
            publish_one(root, 4, promote=False, n_kept=1)

        assert versions(root)[:3] == three


class TestRollback:
    def test_goes_further_back_each_time_and_says_when_there_is_no_more(self, root, three):
        assert [rollback(root, at=9.0), rollback(root, at=9.0)] == [three[1], three[0]]

        with pytest.raises(NothingServedBefore) as refused:
            rollback(root, at=9.0)

        assert str(refused.value).endswith(f"promote` takes {three[1]} or {three[2]}")
        assert current_version(root) == three[0]
        assert history(root)[3:] == [(three[1], "rollback"), (three[0], "rollback")]

    def test_passes_over_versions_that_are_gone_or_of_another_build(self, root, folder):
        published = [publish_one(root, n) for n in range(1, 5)]
        (folder / published[2] / "manifest.json").unlink()
        of_another_format(folder, published[1])

        assert rollback_target(root) == published[0]
        assert rollback(root, at=9.0) == published[0]

    def test_passes_over_versions_that_were_kept_back(self, root):
        first, _, third = (publish_one(root, n, promote=n != 2) for n in (1, 2, 3))

        assert current_version(root) == third
        assert rollback(root, at=9.0) == first

    def test_says_so_when_nothing_is_served(self, root):
        with pytest.raises(
            NothingServedBefore, match="before: publish a bundle with `recserve fit`"
        ):
            rollback(root, at=9.0)
        kept = publish_one(root, 1, promote=False)
        with pytest.raises(NothingServedBefore, match=f"takes {kept}$"):
            rollback(root, at=9.0)

    def test_says_so_when_there_is_one_version_only(self, root):
        publish_one(root, 1)

        with pytest.raises(NothingServedBefore, match="`recserve fit`"):
            rollback(root, at=9.0)

    @pytest.mark.parametrize("line", ["{", '{"version": "latest"}', "[]"])
    def test_refuses_a_history_that_it_cannot_read(self, root, three, folder, line):
        with (folder / "promotions.jsonl").open("a") as file:
            file.write(f"{line}\n")

        with pytest.raises(SettingsInvalid, match=r"promotions\.jsonl: line 4 .* delete the file"):
            rollback(root, at=9.0)
        with pytest.raises(SettingsInvalid):
            publish_one(root, 4)
        assert current_version(root) == three[2]

        (folder / "promotions.jsonl").unlink()
        promote(root, three[1], at=9.0)
        assert rollback(root, at=9.0) == three[2]


@pytest.mark.parametrize("fatal", ["promotions.jsonl", "current"])
class TestDeath:
    """Nothing of a promotion happens, or all of it, and rollbacks lead where they should."""

    def test_of_a_fit(self, root, three, fatal):
        with death_before(fatal):
            publish_one(root, 4)

        assert current_version(root) == three[2]
        assert history(root) == [(version, "fit") for version in three]
        assert rollback(root, at=9.0) == three[1]

    def test_of_a_fit_that_is_done_again(self, root, three, fatal):
        with death_before(fatal):
            publish_one(root, 4)

        fourth = publish_one(root, 4)

        assert history(root) == [(version, "fit") for version in [*three, fourth]]
        assert rollback(root, at=9.0) == three[2]

    def test_of_the_very_first_fit(self, root, fatal):
        with death_before(fatal):
            publish_one(root, 1)

        assert current_version(root) is None
        assert promotions(root) == []

    def test_of_a_rollback(self, root, three, fatal):
        with death_before(fatal):
            rollback(root, at=9.0)

        assert current_version(root) == three[2]
        assert [rollback(root, at=9.0), rollback(root, at=9.0)] == [three[1], three[0]]

    def test_of_a_promotion_that_is_followed_by_another(self, root, three, fatal):
        with death_before(fatal):
            promote(root, three[0], at=9.0)

        promote(root, three[1], at=9.0)

        assert rollback(root, at=9.0) == three[2]


A, B, C, D = (f"2023111{i}-00000000" for i in range(4))


def log_of(*steps):
    """Promotions from words like ``"fit A"``, each over the one before."""
    log, current = [], None
    for step in steps:
        by, name = step.split()
        version = globals()[name]
        log.append(Promotion(version=version, at=float(len(log)), by=by, over=current))
        current = version
    return log


@pytest.mark.parametrize(
    ("steps", "current", "expected"),
    [
        ((), None, []),
        (("fit A",), A, []),
        (("fit A", "fit B", "fit C"), C, [B, A]),
        (("fit A", "fit B", "fit C", "rollback B"), B, [A]),
        (("fit A", "fit B", "fit C", "rollback B", "rollback A"), A, []),
        (("fit A", "fit B", "rollback A", "fit C"), C, [A]),
        (("fit A", "fit B", "operator A"), A, [B]),
        (("fit A", "fit B", "forced C", "rollback B"), B, [A]),
        (("fit A", "fit B", "fit C", "rollback A"), A, []),
    ],
)
def test_lists_the_versions_that_rollbacks_return_to_in_turn(steps, current, expected):
    assert served_before(log_of(*steps), current) == expected


def test_ignores_a_promotion_whose_process_died_before_it():
    planned = log_of("fit A", "fit B", "fit C")

    assert drop_unfinished(planned, B) == planned[:2]
    assert served_before(planned, B) == [A]


def test_ignores_a_rollback_whose_process_died_before_it():
    assert served_before(log_of("fit A", "fit B", "fit C", "rollback B"), C) == [B, A]


def test_lists_versions_that_became_current_without_an_entry():
    by_hand = Promotion(version=C, at=2.0, by="fit", over=B)

    assert served_before(log_of("fit A"), B) == [A]
    assert served_before([*log_of("fit A"), by_hand], C) == [B, A]
    assert served_before([by_hand], C) == [B]


def test_lists_nothing_before_a_rollback_to_a_version_that_the_log_has_forgotten():
    assert served_before(log_of("fit A", "fit B", "rollback D")[1:], D) == []


STEPS = st.tuples(st.sampled_from(["promote", "rollback"]), st.sampled_from("ABCD"), st.booleans())


@given(st.lists(STEPS, max_size=30))
def test_agrees_with_a_stack_of_served_versions(steps):
    """Processes die at random between the entry and the promotion."""
    written, stack = [], []
    for deed, name, dies in steps:
        current = stack[-1] if stack else None
        before = served_before(written, current)
        version = globals()[name] if deed == "promote" else next(iter(before), None)
        if version in (None, current):
            continue
        by = "fit" if deed == "promote" else "rollback"
        planned = Promotion(version=version, at=0.0, by=by, over=current)
        written = [*drop_unfinished(written, current), planned]
        if dies:
            continue
        if deed == "promote":
            stack.append(version)
        else:
            stack.pop()
            while stack[-1] != version:
                stack.pop()

    current = stack[-1] if stack else None
    assert served_before(written, current) == [each for each in stack[::-1] if each != current]
