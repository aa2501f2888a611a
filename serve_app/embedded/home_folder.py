"""Locates the files and sockets of the embedded stores in a home folder."""

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self
from urllib.parse import quote

DATABASE = "recserve"
POSTGRES_PORT = 5432  # only a part of the socket's name: no server listens on TCP

# The kernel bounds the path of a socket: 103 bytes on macOS, 107 on Linux. The longest of the three
# names is "/.s.PGSQL.5432". The pattern excludes commas, which libpq reads as a list of hosts.
_SOCKET_FOLDER_BYTES = 103 - len(f"/.s.PGSQL.{POSTGRES_PORT}")
_SAFE_PATH = re.compile(rf"[\w./-]{{1,{_SOCKET_FOLDER_BYTES}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class HomeFolder:
    """The files of one home folder. All processes that share the folder compute equal paths.

    Attributes:
        path: absolute path of the folder.
        sockets: folder of the three unix sockets, which only its owner may enter.
    """

    path: Path
    sockets: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        """Locates the files. A path that no socket can have gets its sockets in ``/tmp``."""
        path = path.expanduser().resolve()
        sockets = path / "sockets"
        if not _SAFE_PATH.fullmatch(str(sockets)):
            # Not TMPDIR: processes that share the home folder may have different ones.
            digest = sha256(os.fsencode(path)).hexdigest()[:16]
            sockets = Path(f"/tmp/recserve-{os.geteuid()}-{digest}")
        return cls(path, sockets)

    @property
    def launch_lock(self) -> Path:
        """Held by the one process that may start a keeper."""
        return self.path / "lease.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper and its servers, until the last of them has ended."""
        return self.path / "keeper.lock"

    def log(self, name: str) -> Path:
        return self.path / f"{name}.log"

    @property
    def postgres_data(self) -> Path:
        return self.path / "postgres"

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
        # Without a port in the URL, PGPORT in the environment would choose the socket.
        return f"postgresql://postgres@/{database}?host={host}&port={POSTGRES_PORT}"
