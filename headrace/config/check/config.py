"""A checked config: what a file describes, once nothing in it is wrong."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel

from headrace.config.check.addresses import Claim
from headrace.config.check.exports import Export
from headrace.config.keys.pipeline import DeadLettersKeys, ListenKeys, StageKeys
from headrace.config.stage_types import StageType
from headrace.config.text.findings import Source, Span
from headrace.config.text.variables import Mask

if TYPE_CHECKING:
    from headrace.config.check.jobs import ConfiguredJobs


@dataclass(frozen=True, slots=True)
class ConfiguredStage:
    """One stage: its type, its common keys, and its type's own options. They may hold secrets and are not shown."""

    name: str
    type: StageType
    keys: StageKeys = field(repr=False)
    options: BaseModel = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """A pipeline as its file describes it.

    `listen` is None where the file says `off`, and `jobs` and `dead_letters` where it has none;
    `stall_seconds` is None where stages are never named as stalled.
    `source` is the text it was made of, and `name_span` where its name stands in it. `mask` hides what
    variables gave.
    """

    name: str
    listen: ListenKeys | None = field(repr=False)
    stages: tuple[ConfiguredStage, ...]
    exports: tuple[Export, ...] = field(repr=False)
    source: Source = field(repr=False)
    name_span: Span = field(repr=False)
    mask: Mask = field(repr=False)
    jobs: "ConfiguredJobs | None" = None
    dead_letters: DeadLettersKeys | None = None
    stall_seconds: float | None = None
    addresses: tuple[Claim, ...] = field(default=(), repr=False)

    @property
    def file(self) -> str:
        """What findings call the file."""
        return self.source.file
