"""Makes an opened bundle one whose items are followed."""

from serve_app.bundles.bundle import Bundle
from serve_app.stores.catalogue_follower import FollowedFit


def follow_bundle(bundle: Bundle) -> FollowedFit:
    """What the follower of the catalogue needs of a bundle."""
    manifest = bundle.manifest
    return FollowedFit(manifest.version, manifest.shop_id, manifest.revision, bundle.fitted)
