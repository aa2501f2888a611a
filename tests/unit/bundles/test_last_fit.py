from serve_app.bundles.last_fit import (
    LAST_FIT,
    LastFit,
    read_last_fit,
    record_failure,
    record_success,
)


def test_before_the_first_fit_nothing_is_known(tmp_path):
    assert read_last_fit(str(tmp_path / "bundles")) == LastFit()


def test_a_failure_keeps_the_time_of_the_last_success(tmp_path):
    root = str(tmp_path)

    record_success(root, 10.0)
    record_failure(root, 20.0, "there are no items")

    assert read_last_fit(root) == LastFit(
        succeeded_at=10.0, failed_at=20.0, failure="there are no items"
    )


def test_a_success_ends_the_failure(tmp_path):
    root = str(tmp_path)

    record_failure(root, 10.0, "there are no items")
    record_success(root, 20.0)

    assert read_last_fit(root) == LastFit(succeeded_at=20.0)


def test_a_first_fit_may_fail_before_there_is_a_folder(tmp_path):
    root = str(tmp_path / "bundles")

    record_failure(root, 10.0, "there are no items")

    assert read_last_fit(root).failed_at == 10.0


def test_a_damaged_record_counts_as_none(tmp_path):
    (tmp_path / LAST_FIT).write_text("{")

    assert read_last_fit(str(tmp_path)) == LastFit()
