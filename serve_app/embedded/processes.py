"""Start child processes that cannot outlive the keeper, and PostgreSQL not as root."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve_app.embedded.places import Places
from serve_app.errors import EmbeddedStoresFailed

POSTGRES_USER = "pgserver"  # of the operating system, when the keeper is root

# From the manual pages prctl(2) and capabilities(7).
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Account:
    """A user that a child runs as."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str | Path],
    *,
    places: Places,
    log: Path,
    lock_fd: int,
    death_signal: signal.Signals,
    account: Account | None,
) -> subprocess.Popen[bytes]:
    """
    Start a process that gets ``death_signal`` when the keeper dies.

    It inherits ``lock_fd``, so the keeper's lock is free only when the whole family is gone.

    Args:
        log: what it says is appended here.
        account: whom to run as; None for the keeper's own user.

    Raises:
        EmbeddedStoresFailed: it cannot be run, or not as this user.
    """
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=places.home,
                pass_fds=(lock_fd,),
                # Safe: the keeper has one thread.
                preexec_fn=_before_exec(os.getpid(), death_signal, account),  # noqa: PLW1509
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedStoresFailed(places.home, f"{command[0]} cannot be run: {error}") from error


def account_for_postgres(places: Places, name: str = POSTGRES_USER) -> Account | None:
    """
    Find, or make, the user that PostgreSQL runs as: it refuses to be root.

    Returns:
        None when the keeper is not root.

    Raises:
        EmbeddedStoresFailed: there is no such user and none can be made.
    """
    if os.geteuid() != 0:
        return None
    return known_account(name) or _new_account(places, name)


def known_account(name: str = POSTGRES_USER) -> Account | None:
    """Look a user up; None when there is no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _new_account(places: Places, name: str) -> Account:
    command = ["useradd", "--system", "--no-create-home", name]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()
    except OSError as error:
        said = str(error)
    # Judged by the result: another home folder's keeper may have added it meanwhile.
    if (account := known_account(name)) is None:
        raise EmbeddedStoresFailed(
            places.home,
            f"PostgreSQL does not run as root, and the user {name!r} cannot be added ({said}):"
            " run as another user, or set DATABASE_URL and REDIS_URL",
        )
    return account


def _before_exec(
    keeper: int, death_signal: signal.Signals, account: Account | None
) -> Callable[[], None]:
    def before_exec() -> None:
        if account is not None:
            _become(account)
        if sys.platform == "linux":
            # After the change of user, which would clear it.
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != keeper:
                os._exit(1)

    return before_exec


def _become(account: Account) -> None:
    """
    Change the user, but keep root's right to pass through folders closed to others.

    The home folder or the Python environment may lie below a closed one such as /root, and
    opening that for everybody would be worse. A kernel that refuses to keep the right does no
    harm as long as these folders are open.
    """
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.gid)
    os.setuid(account.uid)
    if sys.platform == "linux":
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        right = 1 << _CAP_DAC_OVERRIDE
        # Effective, permitted, inheritable; twice, for capabilities 0–31 and 32–63.
        _libc.capset(header, (ctypes.c_uint32 * 6)(right, right, right, 0, 0, 0))
        _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
