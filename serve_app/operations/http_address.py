"""Where the HTTP API listens: what the rest of the command needs to know of ``http_options``."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

_ALL: Mapping[str, str] = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""What listens on every interface answers on the machine's own."""


class HttpAddress(BaseModel):
    """
    The part of Ray's ``http_options`` that tells where, with Ray's own defaults.

    Ray takes any whole number for a port, and fails when it listens.
    """

    # The rest is Ray's own, and `recserve doctor` looks at it.
    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = "0.0.0.0"
    port: int = Field(default=8000, ge=1, le=65_535)

    @property
    def url(self) -> str:
        """Where this machine reaches it, without a slash at the end."""
        host = _ALL.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
