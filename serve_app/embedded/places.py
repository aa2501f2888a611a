"""Where the embedded stores of one home folder keep their files and sockets."""

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

DATABASE = "recserve"
POSTGRES_PORT = 5432  # only a part of the socket's name: nothing listens on TCP

# A socket's whole path may have 103 bytes on macOS and 107 on Linux; the longest of our names is
# "/.s.PGSQL.5432". A comma would read as a list of hosts.
_SOCKET_FOLDER_BYTES = 103 - len(f"/.s.PGSQL.{POSTGRES_PORT}")
_SAFE_PATH = re.compile(rf"[\w./-]{{1,{_SOCKET_FOLDER_BYTES}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Places:
    """
    The files of one home folder; the same for every process that shares it.

    Attributes:
        home: the folder, absolute.
        sockets: folder of the three unix sockets, which only their owner may enter.
    """

    home: Path
    sockets: Path

    @property
    def turn_lock(self) -> Path:
        """Held by the one asker that may start a keeper."""
        return self.home / "lease.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper and by its servers, until the last of them is gone."""
        return self.home / "keeper.lock"

    @property
    def keeper_log(self) -> Path:
        return self.home / "keeper.log"

    @property
    def postgres_log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def redis_log(self) -> Path:
        return self.home / "redis.log"

    @property
    def postgres_data(self) -> Path:
        return self.home / "postgres"

    @property
    def keeper_socket(self) -> Path:
        return self.sockets / "keeper.sock"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.redis_socket))}"

    def database_url(self, database: str = DATABASE) -> str:
        host = quote(str(self.sockets), safe="")
        # The port is named because PGPORT in the environment would otherwise decide.
        return f"postgresql://postgres@/{database}?host={host}&port={POSTGRES_PORT}"


def places(home: Path) -> Places:
    """
    Lay out a home folder.

    A path that is too long or too odd for sockets gets a folder for them in /tmp, named after
    it. Not in TMPDIR, which processes that share a home folder may see differently.
    """
    home = home.expanduser().resolve()
    sockets = home / "sockets"
    if not _SAFE_PATH.fullmatch(str(sockets)):
        digest = sha256(os.fsencode(home)).hexdigest()[:16]
        sockets = Path(f"/tmp/recserve-{os.geteuid()}-{digest}")
    return Places(home, sockets)
