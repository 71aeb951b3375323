"""The built-in sources, transforms and sinks, and the field types for stages of your own.

Each name is loaded on first use.
"""

from typing import TYPE_CHECKING

from headrace.lazy import lazy_names

if TYPE_CHECKING:
    from headrace.pipeline.failure import Retry
    from headrace.pipeline.stage.settings import Concurrency
    from headrace.stages.options import (
        AddressField,
        CountField,
        DurationField,
        ExpressionField,
        FunctionField,
        LabelNameField,
        MetricNameField,
        Options,
        PartField,
        RateField,
        SizeField,
        StageType,
        TemplateField,
    )
    from headrace.telemetry.counts import FamilySpec

__all__ = [
    "AddressField",
    "Concurrency",
    "CountField",
    "DurationField",
    "ExpressionField",
    "FamilySpec",
    "FunctionField",
    "LabelNameField",
    "MetricNameField",
    "Options",
    "PartField",
    "RateField",
    "Retry",
    "SizeField",
    "StageType",
    "TemplateField",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AddressField": "stages.options",
        "Concurrency": "pipeline.stage.settings",
        "CountField": "stages.options",
        "DurationField": "stages.options",
        "ExpressionField": "stages.options",
        "FamilySpec": "telemetry.counts",
        "FunctionField": "stages.options",
        "LabelNameField": "stages.options",
        "MetricNameField": "stages.options",
        "Options": "stages.options",
        "PartField": "stages.options",
        "RateField": "stages.options",
        "Retry": "pipeline.failure",
        "SizeField": "stages.options",
        "StageType": "stages.options",
        "TemplateField": "stages.options",
    },
)
