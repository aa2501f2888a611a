"""The form of every setting: frozen, and a misspelt key is an error, not a default."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings. Unknown keys are errors; so are NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
