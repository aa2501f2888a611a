"""Ends the service when `recserve run` has ended, even if that was killed.

    python -m serve_app.running.guard HOME PID

PID is the ``serve run`` of this home folder. Standard input is a pipe from `recserve run`. The
kernel closes it when that process ends, however it ends.
"""

import os
import signal
import sys
from pathlib import Path

from serve_app.running.service_processes import (
    kill_all,
    service_processes,
    wait_until_ended,
)

GRACE_S = 10.0
"""Serve ends its replicas in about five seconds. Nobody waits for an orderly end any more."""

KILL_DEADLINE_S = 20.0


def end_service(home: Path, pid: int) -> None:
    """Asks ``serve run`` to end the service, and kills what is left of it."""
    if pid in {process.pid for process in service_processes(home)}:
        # SIGINT and not SIGTERM: Serve shuts its replicas down on SIGINT only.
        os.kill(pid, signal.SIGINT)
        wait_until_ended(home, deadline_s=GRACE_S)
    kill_all(home, deadline_s=KILL_DEADLINE_S)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_service(Path(sys.argv[1]), int(sys.argv[2]))
