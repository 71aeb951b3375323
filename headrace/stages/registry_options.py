"""What all stages over a registry are told: its worker, and the key of an event."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.stages.job_options import ArgsField, RecordingWorkerField
from headrace.stages.options import DurationField, ExpressionField, refused


class RegistryOptions(BaseModel):
    """Which registry, and which key of it: `key` or `args`, and never both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    worker: RecordingWorkerField = Field(description="The worker whose results are kept; it records them.")
    key: ExpressionField | None = Field(
        default=None, description="The key, an expression: the worker's first argument."
    )
    args: ArgsField | None = Field(
        default=None, description="The key where it is of several arguments, each an expression by its name."
    )
    expires_in: DurationField | None = Field(
        default=None, description="How long a result is found, as in 1d; for good without."
    )

    @model_validator(mode="after")
    def _has_one(self) -> "RegistryOptions":
        if (self.key is None) == (self.args is None):
            raise refused("bad_value", "a registry needs `key:` or `args:`, and not both")
        return self
