"""Where the HTTP API listens: what the rest of the command needs to know of ``http_options``."""

from pydantic import BaseModel, ConfigDict, Field


class HttpAddress(BaseModel):
    """
    The part of Ray's ``http_options`` that tells where, with Ray's own defaults.

    Ray takes any whole number for a port, and fails when it listens.
    """

    # The rest is Ray's own, and `recserve doctor` looks at it.
    model_config = ConfigDict(frozen=True, extra="ignore")

    port: int = Field(default=8000, ge=1, le=65_535)
