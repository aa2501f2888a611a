"""Opens each bundle once in a process, however many stages use it."""

from threading import Lock
from weakref import WeakValueDictionary

from serve_app.bundles.bundle import Bundle, open_bundle
from serve_app.bundles.roots import BundleLocation

# Weak: a bundle is closed as soon as no stage holds it any more.
_in_use: WeakValueDictionary[tuple[BundleLocation, str], Bundle] = WeakValueDictionary()
_locks: dict[tuple[BundleLocation, str], Lock] = {}
_looking_up = Lock()


def shared_bundle(location: BundleLocation, version: str) -> Bundle:
    """The one opened bundle that all stages of the process share."""
    # Stages open versions in threads: without a lock, two threads could open one version twice.
    # One lock for each version: the slow copy of one must not keep others from a whole one.
    with _looking_up:
        lock = _locks.setdefault((location, version), Lock())
    with lock:
        bundle = _in_use.get((location, version))
        if bundle is None:
            bundle = open_bundle(location.root, version, cache_dir=location.cache_dir)
            _in_use[location, version] = bundle
        return bundle
