"""Tests reports beside versions, under both kinds of roots, with real files."""

import json
import shutil
import time

import pytest

from serve_app.arrays.units import DAY_S
from serve_app.bundles.bundle import versions
from serve_app.bundles.promotions import promote
from serve_app.bundles.publishing import publish
from serve_app.bundles.version_reports import (
    StoredVerdict,
    read_report,
    read_verdict,
    report_location,
)
from serve_app.errors import BundleDamaged
from tests.support.small_bundles import contents_of


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "bundles"


@pytest.fixture(params=["", "file://"], ids=["folder", "URI"])
def root(request, folder):
    return f"{request.param}{folder}"


@pytest.fixture
def report(tmp_path):
    """Writes a report as a fit does: readable for its owner only."""

    def write(content):
        made = tmp_path / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        (made / "report.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        (made / "gain.png").write_bytes(b"picture")
        return made

    return write


def said(promoted, reason="better by 0.01"):
    return {"verdict": {"promoted": promoted, "reason": reason, "more": 1}, "windows": []}


def publish_one(root, n_trees=1, report=None, created_at=1.0, **options):
    return publish(
        root, contents_of(n_trees), created_at=created_at, promote=False, report=report, **options
    ).version


def test_is_kept_beside_the_version(root, folder, report):
    version = publish_one(root, report=report(said(True)))

    kept = folder / "reports" / version
    assert (kept / "gain.png").read_bytes() == b"picture"
    assert read_report(root, version) == said(True)
    assert read_verdict(root, version) == StoredVerdict(promoted=True, reason="better by 0.01")
    assert versions(root) == [version]
    assert not (folder / version / "report.json").exists()


def test_is_none_where_a_fit_wrote_none(root):
    version = publish_one(root)

    assert read_report(root, version) is None
    assert read_verdict(root, version) is None
    assert read_report(root, "../../etc") is None


def test_a_report_without_a_verdict_leaves_it_open(root, report):
    version = publish_one(root, report=report({"windows": []}))

    assert read_report(root, version) == {"windows": []}
    assert read_verdict(root, version) is None


def test_is_replaced_when_the_same_version_is_judged_again(root, folder, report):
    version = publish_one(root, report=report(said(False)))
    (folder / "reports" / version / "old.png").touch()

    publish_one(root, report=report(said(True)))

    assert read_verdict(root, version).promoted
    assert not (folder / "reports" / version / "old.png").exists()
    publish_one(root)
    assert read_verdict(root, version).promoted


def test_stays_when_the_served_version_is_judged_again(root, report):
    version = publish_one(root, report=report(said(True)))
    promote(root, version, at=2.0)

    publish_one(root, report=report(said(False)))

    assert read_report(root, version) == said(True)


def test_the_served_version_gets_a_report_if_it_has_none(root, report):
    version = publish_one(root)
    promote(root, version, at=2.0)

    publish_one(root, report=report(said(False)))

    assert read_report(root, version) == said(False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ({"verdict": {"promoted": True}}, "verdict.reason: Field required"),
        ({"verdict": "good"}, "verdict: Input should be"),
    ],
)
def test_refuses_a_report_that_it_cannot_read(root, report, content, reason):
    version = publish_one(root, report=report(content))

    with pytest.raises(BundleDamaged, match=reason):
        read_verdict(root, version)


def test_goes_when_its_version_goes(root, folder, report):
    published = [publish_one(root, n, report(said(False)), n_kept=2) for n in range(1, 5)]

    assert {path.name for path in (folder / "reports").iterdir()} == set(published[-2:])


def test_goes_later_when_the_process_that_removed_its_version_died(
    root, folder, report, monkeypatch
):
    first = publish_one(root, 1, report(said(False)))

    def die(self, name):
        if name.startswith("reports/"):
            raise KeyboardInterrupt
        shutil.rmtree(folder / name, ignore_errors=True)

    with monkeypatch.context() as patched:
        for kind in ("local.LocalRoot", "remote.RemoteRoot"):
            patched.setattr(f"serve_app.bundles.{kind}.remove_folder", die)
        with pytest.raises(KeyboardInterrupt):
            publish_one(root, 2, n_kept=1)
    assert (folder / "reports" / first).exists()

    publish_one(root, 2, n_kept=1, created_at=time.time() + 2 * DAY_S)

    assert not (folder / "reports" / first).exists()


def test_stays_while_a_fit_may_be_about_to_add_its_version(tmp_path, report):
    # Nothing locks an object store: the report of a fit is there before its version.
    root, folder = f"file://{tmp_path / 'bundles'}", tmp_path / "bundles" / "reports"
    coming = folder / "20231114-0123abcd"
    shutil.copytree(report(said(False)), coming)

    publish_one(root, 1, created_at=time.time())

    assert (coming / "report.json").exists()


def test_a_version_is_never_there_without_its_report(root, report, monkeypatch):
    def die(self, folder, manifest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        for kind in ("local.LocalRoot", "remote.RemoteRoot"):
            patched.setattr(f"serve_app.bundles.{kind}.add_version", die)
        with pytest.raises(KeyboardInterrupt):
            publish_one(root, 1, report(said(False)))

    assert versions(root) == []
    assert not read_verdict(root, publish_one(root, 1)).promoted


@pytest.mark.parametrize(
    ("root", "location"),
    [
        ("bundles", "bundles/reports/20231114-00000000"),
        ("file:///bundles/", "file:///bundles/reports/20231114-00000000"),
        ("s3://shop/b?region=eu-1", "s3://shop/b/reports/20231114-00000000?region=eu-1"),
    ],
)
def test_names_where_a_report_lies(root, location):
    assert report_location(root, "20231114-00000000") == location
