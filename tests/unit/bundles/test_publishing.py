import os

from serve_app.bundles.bundle import versions
from serve_app.bundles.publishing import publish
from tests.support.small_bundles import contents_of
from tests.support.small_world import AT


class TestUnfinishedVersions:
    """Fits that died while they copied a version into an object store."""

    NAME = "20231114-0123abcd"

    def leave(self, tmp_path, minutes):
        folder = tmp_path / "bundles" / self.NAME / "tables"
        folder.mkdir(parents=True)
        (folder / "popular_rows.npy").write_bytes(b"half")
        for path in (folder / "popular_rows.npy", folder, folder.parent):
            os.utime(path, (AT - minutes * 60, AT - minutes * 60))
        return folder.parent

    def test_are_removed_when_nothing_was_written_for_a_day(self, tmp_path):
        old = self.leave(tmp_path, minutes=25 * 60)

        manifest = publish(f"file://{tmp_path / 'bundles'}", contents_of(1), created_at=AT)

        assert not old.exists()
        assert versions(f"file://{tmp_path / 'bundles'}") == [manifest.version]

    def test_stay_while_another_fit_may_be_writing(self, tmp_path):
        young = self.leave(tmp_path, minutes=60)

        publish(f"file://{tmp_path / 'bundles'}", contents_of(1), created_at=AT)

        assert young.exists()
