import subprocess
import sys

import numpy as np

from serve_app.operations.fits.metering import metered

MB = 1_000_000


def test_measures_the_peak_and_not_the_sum_of_memory():
    with metered() as before:
        pass
    with metered() as used:
        numbers = np.ones(20 * MB)
        with metered() as inner:
            pass
        del numbers

    assert inner.peak_bytes > before.peak_bytes + 100 * MB
    assert used.seconds >= inner.seconds > 0


def test_includes_the_memory_of_child_processes():
    hold = "import sys; held = b'x' * 200_000_000; print('held', flush=True); sys.stdin.read()"
    with metered() as before:
        pass
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with metered() as used:
            pass
        child.communicate()

    assert used.peak_bytes > before.peak_bytes + 150 * MB
