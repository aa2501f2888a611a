"""Defines the base of all settings: frozen, and a misspelt key is an error."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings. Unknown keys, NaN and infinities are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        # A refused value may hold a password, and Serve logs the whole error.
        hide_input_in_errors=True,
    )
