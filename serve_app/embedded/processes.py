"""Starts child processes that cannot outlive the keeper, as another user where needed."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve_app.embedded.home_folder import HomeFolder
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
    """A user of the operating system."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str | Path],
    *,
    home: HomeFolder,
    log: Path,
    lock_fd: int,
    death_signal: signal.Signals,
    account: Account | None,
) -> subprocess.Popen[bytes]:
    """Starts a process that gets ``death_signal`` when the keeper dies.

    It inherits ``lock_fd``: the keeper's lock is free only when the keeper and all its children
    have ended.

    Args:
        log: its output is appended here.
        account: user to run as; ``None`` for the keeper's own user.

    Raises:
        EmbeddedStoresFailed: the command cannot be run, or not as this user.
    """
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=home.path,
                pass_fds=(lock_fd,),
                # Unsafe where other threads hold locks; the keeper has one thread.
                preexec_fn=_before_exec(os.getpid(), death_signal, account),  # noqa: PLW1509
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedStoresFailed(home.path, f"{command[0]} cannot be run: {error}") from error


def account_for_postgres(home: HomeFolder, name: str = POSTGRES_USER) -> Account | None:
    """Finds or adds the user that PostgreSQL runs as: it refuses to run as root.

    Returns:
        ``None`` if the keeper is not root.

    Raises:
        EmbeddedStoresFailed: there is no such user and none can be added.
    """
    if os.geteuid() != 0:
        return None
    return known_account(name) or _new_account(home, name)


def known_account(name: str = POSTGRES_USER) -> Account | None:
    """Looks up a user; ``None`` if there is none of this name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _new_account(home: HomeFolder, name: str) -> Account:
    command = ["useradd", "--system", "--no-create-home", name]
    try:
        reason = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()
    except OSError as error:
        reason = str(error)
    # The exit code does not decide: the keeper of another home folder may have added the user.
    if (account := known_account(name)) is None:
        fault = f"PostgreSQL does not run as root, and the user {name!r} cannot be added ({reason})"
        advice = "run as another user, or set DATABASE_URL and REDIS_URL"
        raise EmbeddedStoresFailed(home.path, f"{fault}: {advice}")
    return account


def _before_exec(
    keeper: int, death_signal: signal.Signals, account: Account | None
) -> Callable[[], None]:
    def before_exec() -> None:
        if account is not None:
            _become(account)
        if sys.platform == "linux":
            # After the change of user, which clears this setting.
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            # The keeper may have died before the setting: then no signal would ever come.
            if os.getppid() != keeper:
                os._exit(1)

    return before_exec


def _become(account: Account) -> None:
    """Changes the user, but keeps root's right to enter folders that are closed to others.

    The home folder or the Python environment may lie below a closed folder such as /root. To open
    that folder for everybody would be worse. A kernel may refuse to keep the right: then it works
    only where all these folders are open.
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


def describe_end(program: str, code: int, log: Path) -> str:
    """Names the log that says why a program ended."""
    return f"{program} ended with code {code}; the last lines of {log} say why"
