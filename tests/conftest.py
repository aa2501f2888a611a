"""Keeps the numerics of all tests to one thread a process, before anything imports numpy, and lets
only those tests draw plots that are about them."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.support.one_thread import VARIABLES

# The arrays of tests are small: threads of OpenMP spend more time waiting for each other than
# computing. With two test processes on two cores a fit takes twice as long with them.
for variable in VARIABLES:
    os.environ.setdefault(variable, "1")


@pytest.fixture(autouse=True, scope="module")
def extra_report(request: pytest.FixtureRequest) -> Iterator[None]:
    """Without the mark ``draws_plots``, fits find no matplotlib, as without the extra ``report``.

    Drawing the report takes half of the time of a small fit.
    """
    with pytest.MonkeyPatch.context() as patched:
        if request.node.get_closest_marker("draws_plots") is None:
            patched.setitem(sys.modules, "matplotlib", None)
        yield
