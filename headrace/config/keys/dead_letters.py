"""The key `dead_letters:`: where events are kept that stages give up, and how many of them."""

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from headrace.pipeline.acknowledgement.errors import BadDeadLetters
from headrace.pipeline.acknowledgement.letter_bounds import LEAST_SIZE_BYTES, LetterBounds
from headrace.pipeline.acknowledgement.sqlite.location import path_of
from headrace.stages.options import CountField, DurationField, Keys, SizeField, refused

_BOUNDS: Final = LetterBounds()


def _store(url: str) -> str:
    """Refuse a URL of no store; nothing is opened."""
    try:
        path_of(url)
    except BadDeadLetters as error:
        refusal = refused("bad_value", error.why, is_predicate=True)
    else:
        return url
    raise refusal


class DeadLettersKeys(Keys):
    """Events that stages give up are kept in `store`: the oldest go first when there are too many."""

    store: Annotated[str, AfterValidator(_store)]
    max_age: DurationField = _BOUNDS.max_age_seconds
    max_size: SizeField = _BOUNDS.max_size_bytes
    max_events: Annotated[CountField, Field(ge=1)] = _BOUNDS.max_events

    @model_validator(mode="after")
    def _keeps_some(self) -> "DeadLettersKeys":
        if self.max_age <= 0:
            raise refused("bad_value", "must be more than 0s", is_predicate=True, path=["max_age"])
        if self.max_size < LEAST_SIZE_BYTES:
            raise refused("bad_value", "must be 64KiB or more", is_predicate=True, path=["max_size"])
        return self


def _long_form(value: object) -> object:
    """Bring the short spellings to the long one: a URL alone, or `off`."""
    if value == "off":
        return None
    if isinstance(value, str):
        return {"store": value}
    if not isinstance(value, dict):
        raise refused(
            "bad_value", "it must be a URL such as sqlite:///var/dead.db, a mapping with `store:`, or the word off"
        )
    return value


DeadLettersField = Annotated[
    DeadLettersKeys | None, BeforeValidator(_long_form, json_schema_input_type=str | DeadLettersKeys)
]
"""The value of the key, short or long; None for `off`."""
