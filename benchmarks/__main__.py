import signal
import sys

from benchmarks.cli import main

# As Ctrl-C does: what was started is stopped, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
main(prog_name="python -m benchmarks")
