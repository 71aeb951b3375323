"""What all models of keys have in common."""

from pydantic import BaseModel, ConfigDict


class Keys(BaseModel):
    """Keys that are read, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)
