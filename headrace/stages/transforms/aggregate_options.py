"""Options of `aggregate`: windows, event time, groups and values."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from headrace.expressions import Expression
from headrace.stages.options import CountField, DurationField, ExpressionField, Options, refused
from headrace.stages.windows.event_time import SECOND
from headrace.stages.windows.measures import OWN_KEYS, MeasureKind

LONGEST_SECONDS: Final = 100 * 366 * 86_400
"""The longest window; its bounds must be dates."""

LATE: Final = "late"
"""The side output of late events, and the reason under which late events are discarded."""

LateMode = Literal["drop", "route", "update"]


class WindowKeys(Options):
    """The windows: one of four kinds, with its size."""

    tumbling: DurationField | None = Field(
        default=None, description="Windows of this length, one after the other, as in 1m."
    )
    hopping: DurationField | None = Field(default=None, description="Windows of this length that overlap; see `every`.")
    every: DurationField | None = Field(default=None, description="The interval at which hopping windows begin.")
    offset: DurationField | None = Field(
        default=None,
        description="How long after the full interval (since 1970, UTC) tumbling and hopping windows begin.",
    )
    session: DurationField | None = Field(
        default=None, description="A group's events until no event comes for this long."
    )
    count: Annotated[CountField, Field(ge=1)] | None = Field(default=None, description="So many events of a group.")

    @model_validator(mode="after")
    def _is_one(self) -> "WindowKeys":
        kinds = [key for key in ("tumbling", "hopping", "session", "count") if getattr(self, key) is not None]
        if len(kinds) != 1:
            why = "a window is one of `tumbling:`, `hopping:`, `session:` and `count:`, with its size"
            raise refused("bad_value", why)
        if (self.hopping is None) != (self.every is None):
            why = "a hopping window needs `every:`, how often one begins, and no other has it"
            raise refused("bad_value", why, path=[] if self.every is None else ["every"])
        for key in ("tumbling", "hopping", "every", "session"):
            seconds = getattr(self, key)
            if seconds is not None and not 1 <= round(seconds * SECOND) <= LONGEST_SECONDS * SECOND:
                raise refused("bad_value", "it must be 1us or more, and a hundred years or less", path=[key])
        if self.every is not None and self.hopping is not None and self.every > self.hopping:
            why = "windows that begin more seldom than they are long would leave events out: make it shorter"
            raise refused("bad_value", why, path=["every"])
        self._check_offset()
        return self

    def _check_offset(self) -> None:
        every = self.every or self.tumbling
        if self.offset is not None and (every is None or self.offset >= every):
            why = "it is less than the time between two windows, and sessions and counts have none"
            raise refused("bad_value", why, path=["offset"])


class ValueKeys(Options):
    """One value of a result: a function and its expression."""

    sum: ExpressionField | None = Field(default=None, description="The exact sum of numbers, rounded once.")
    mean: ExpressionField | None = Field(default=None, description="The exact mean of numbers, rounded once.")
    min: ExpressionField | None = Field(default=None, description="The least of numbers.")
    max: ExpressionField | None = Field(default=None, description="The greatest of numbers.")
    quantile: ExpressionField | None = Field(
        default=None, description="A quantile of numbers, within 1 % of the true one; see `at`."
    )
    at: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, description="The quantile, as in 0.95.")
    distinct: ExpressionField | None = Field(
        default=None,
        description="The number of different values; exact up to 1000, then within 1.6 % (standard error).",
    )

    @model_validator(mode="after")
    def _is_one(self) -> "ValueKeys":
        kinds = ("sum", "mean", "min", "max", "quantile", "distinct")
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            why = "a value is `count`, or one of `sum:`, `mean:`, `min:`, `max:`, `quantile:` and `distinct:`"
            raise refused("bad_value", f"{why}, with an expression")
        if (self.quantile is None) != (self.at is None):
            why = "a quantile needs `at:`, as in 0.95 or 0.5 for the median, and nothing else has it"
            raise refused("bad_value", why, path=[] if self.at is None else ["at"])
        return self

    @property
    def kind(self) -> MeasureKind:
        """The function."""
        kinds: tuple[MeasureKind, ...] = ("sum", "mean", "min", "max", "quantile", "distinct")
        return next(kind for kind in kinds if getattr(self, kind) is not None)

    @property
    def expression(self) -> Expression:
        """The argument of the function."""
        found: Expression = getattr(self, self.kind)
        return found


class AggregateOptions(Options):
    """Windows, groups and values."""

    window: WindowKeys = Field(
        description="`{tumbling: 1m}`, `{hopping: 5m, every: 1m}`, `{session: 30m}` or `{count: 100}`."
    )
    values: Mapping[str, Literal["count"] | ValueKeys] = Field(
        min_length=1, description="The values by name: `count`, or as in `{sum: event.total}`."
    )
    by: Mapping[str, ExpressionField] = Field(
        default={}, description="The groups: names and expressions; each combination of values is a group."
    )
    time: ExpressionField | None = Field(
        default=None,
        description="The event time: ISO 8601 text or seconds since 1970. Without: the time of arrival.",
    )
    out_of_order: DurationField = Field(
        default=0.0, description="How far an event may be behind the latest one; windows wait so long."
    )
    late: LateMode = Field(
        default="drop",
        description="For events whose windows have closed: drop, route (to the output `late`) or update the result.",
    )
    lateness: DurationField | None = Field(
        default=None, description="With `late: update`, how long a closed window is revised."
    )
    idle: DurationField | None = Field(
        default=None, description="Without events for this long, event time follows the clock."
    )
    max_ahead: DurationField | None = Field(
        default=None, description="An event further ahead of the clock than this fails."
    )
    max_groups: Annotated[CountField, Field(ge=1)] = Field(
        default=10_000, description="The most groups in all open windows together."
    )
    max_windows: Annotated[CountField, Field(ge=1)] = Field(
        default=1_000, description="The most open tumbling or hopping windows."
    )

    @model_validator(mode="after")
    def _has_names_of_its_own(self) -> "AggregateOptions":
        for key, names in (("values", self.values), ("by", self.by)):
            for name in names:
                if name in OWN_KEYS or (key == "values" and name in self.by):
                    taken = "every result has a key of that name" if name in OWN_KEYS else "a group has that name"
                    raise refused("bad_value", f"{taken}: call it otherwise", path=[key, name])
        return self

    @model_validator(mode="after")
    def _fits_its_window(self) -> "AggregateOptions":
        if self.time is None or self.window.count is not None:
            self._refuse_event_time()
        if (self.late == "update") != (self.lateness is not None):
            why = "`late: update` needs `lateness:`, for how long a window is revised, and nothing else has it"
            raise refused("bad_value", why, path=["late"] if self.lateness is None else ["lateness"])
        if self.late == "update" and self.window.session is not None:
            why = "a session's bounds are not fixed, so it is not revised: wait longer, with `out_of_order:`"
            raise refused("bad_value", why, path=["late"])
        if self.windows_of_an_event > self.max_windows:
            why = f"each event is in {self.windows_of_an_event} windows, more than `max_windows`"
            raise refused("bad_value", f"{why}: let them begin more seldom", path=["window", "every"])
        return self

    @property
    def windows_of_an_event(self) -> int:
        """How many windows an event is in; 1 except for hopping windows."""
        if self.window.hopping is None or self.window.every is None:
            return 1
        return -(-round(self.window.hopping * SECOND) // round(self.window.every * SECOND))

    def _refuse_event_time(self) -> None:
        """Refuse options that wait for events out of order."""
        keys = ["out_of_order", "late", "lateness", "idle", *(["max_ahead"] if self.time is None else [])]
        for key in keys:
            if key in self.model_fields_set:
                if self.window.count is None:
                    why = "without `time:`, when an event happened, none is out of order or late"
                else:
                    why = "a window of so many events waits for no time"
                raise refused("bad_value", f"{why}: leave it out", path=[key])
