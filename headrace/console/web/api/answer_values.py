"""What the API answers, as models: the OpenAPI document is made of them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Values(BaseModel):
    """The keys of an answer, all of which are there unless they have a default, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorAnswer(Values):
    """Why something cannot be, in one sentence."""

    error: str


class Changed(Values):
    """How many a change was about."""

    changed: int


class LetterError(Values):
    """What an event failed with; the traceback where one letter is shown."""

    type: str
    text: str
    traceback: str | None = None


class Letter(Values):
    """A dead letter. `event` is the event itself where `form` is json, and its text or its beginning otherwise."""

    id: int
    pipeline: str
    stage: str
    event: object
    is_shortened: bool
    form: str
    is_replayable: bool
    metadata: object
    error: LetterError
    attempts: int
    at: datetime
    size_bytes: int
    replay_at: datetime | None
    is_taken: bool


class Letters(Values):
    """A page of letters, and how many there are of the kind."""

    total: int
    letters: list[Letter]


class Enqueued(Values):
    """The job that does the work of a key, and whether it was there before."""

    job: int
    is_conflict: bool


class Progress(Values):
    """How far a job says it is."""

    fraction: float
    note: str


class FoundValue(Values):
    """The work is done."""

    state: Literal["found"]
    value: object
    at: datetime


class FailedWork(Values):
    """The work was given up."""

    state: Literal["failed"]
    error: str


class PendingWork(Values):
    """The work is under way, or waits."""

    state: Literal["pending"]
    progress: Progress | None


class NoWork(Values):
    """Nobody has asked for that key."""

    state: Literal["not found"]


class Nothing(Values):
    """An empty JSON object."""


class OpenApiDocument(BaseModel):
    """A document of OpenAPI, as its specification says."""

    model_config = ConfigDict(extra="allow", frozen=True)

    openapi: str = Field(description="The version of OpenAPI.")
