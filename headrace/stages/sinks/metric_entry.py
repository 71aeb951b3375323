"""What a metric of `count_metrics` is, as an entry of its list says."""

from difflib import get_close_matches
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from headrace.stages.options import CountField, ExpressionField, LabelNameField, MetricNameField, refused
from headrace.telemetry.counts import LABEL_SETS_LIMIT, FamilySpec, Kind

DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Prometheus' own: made for seconds of requests."""


def _with_total(name: str) -> str:
    """Return a counter's name with the right ending, which a slip of the last word may be.

    >>> _with_total("shop_totl"), _with_total("shop_orders"), _with_total("shop_total_orders")
    ('shop_total', 'shop_orders_total', 'shop_total_orders_total')
    """
    stem, _, last = name.rpartition("_")
    return f"{stem}_total" if stem and get_close_matches(last, ["total"], cutoff=0.8) else f"{name}_total"


class MetricEntry(BaseModel):
    """One metric: `counter`, `gauge` or `histogram` gives its name, as it is exported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    counter: MetricNameField | None = Field(default=None, description="Adds `value` for each event; ends with _total.")
    gauge: MetricNameField | None = Field(default=None, description="Holds `value` of the latest event.")
    histogram: MetricNameField | None = Field(default=None, description="Counts events by `value`, in buckets.")
    value: ExpressionField | None = Field(default=None, description="A finite number; 1 for a counter unless given.")
    labels: dict[LabelNameField, ExpressionField] = Field(
        default={}, description="Label names and expressions; a value becomes text, None the empty one."
    )
    help: str | None = Field(default=None, description="What the metric tells, for those who read it.")
    buckets: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = Field(
        default=None,
        min_length=1,
        description="A histogram's upper bounds, ascending, without the last, which is +Inf.",
    )
    limit: Annotated[CountField, Field(ge=1)] = Field(
        default=LABEL_SETS_LIMIT,
        description="The most label sets that are kept; samples of others count as `other`, and of a gauge left out.",
    )

    @field_validator("counter")
    @classmethod
    def _ends_with_total(cls, name: str | None) -> str | None:
        if name is not None and not name.endswith("_total"):
            why = "a counter's name ends with _total, and is exported so"
            raise refused("bad_metric", why, suggestion=_with_total(name))
        return name

    @field_validator("buckets")
    @classmethod
    def _ascend(cls, bounds: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if bounds is not None and list(bounds) != sorted(set(bounds)):
            raise refused("bad_value", "buckets ascend, and none stands twice")
        return bounds

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "MetricEntry":
        names = [kind for kind in ("counter", "gauge", "histogram") if getattr(self, kind) is not None]
        if len(names) != 1:
            raise refused("bad_value", "a metric is one of `counter:`, `gauge:` and `histogram:`, with its name")
        if self.value is None and self.counter is None:
            raise refused("bad_value", f"a {names[0]} needs `value:`, an expression for the number", path=names)
        if self.buckets is not None and self.histogram is None:
            raise refused("bad_value", "only a histogram has buckets", path=["buckets"])
        return self

    @property
    def kind(self) -> Kind:
        """What the metric is."""
        if self.counter is not None:
            return "counter"
        return "histogram" if self.gauge is None else "gauge"

    def spec(self, stage: str) -> FamilySpec:
        """Return the metric as it is declared; without `help` it tells which stage counts it."""
        return FamilySpec(
            kind=self.kind,
            name=str(self.counter or self.gauge or self.histogram),
            help=f"A {self.kind} of the stage {stage}." if self.help is None else self.help,
            labels=tuple(self.labels),
            buckets=(self.buckets or DEFAULT_BUCKETS) if self.kind == "histogram" else (),
            limit=self.limit,
            has_stage_labels=False,
        )
