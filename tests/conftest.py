"""Keeps the numerics of all tests to one thread a process, before anything imports numpy."""

import os

from tests.support.one_thread import VARIABLES

# The arrays of tests are small: threads of OpenMP spend more time waiting for each other than
# computing. With two test processes on two cores a fit takes twice as long with them.
for variable in VARIABLES:
    os.environ.setdefault(variable, "1")
