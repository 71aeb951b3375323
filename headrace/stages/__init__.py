"""The built-in sources, transforms and sinks, and the field types that stages of your own share with them.

Each name is loaded on first use.
"""

from typing import TYPE_CHECKING

from headrace.lazy import lazy_names

if TYPE_CHECKING:
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
        TemplateField,
    )

__all__ = [
    "AddressField",
    "CountField",
    "DurationField",
    "ExpressionField",
    "FunctionField",
    "LabelNameField",
    "MetricNameField",
    "Options",
    "PartField",
    "RateField",
    "SizeField",
    "TemplateField",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AddressField": "stages.options",
        "CountField": "stages.options",
        "DurationField": "stages.options",
        "ExpressionField": "stages.options",
        "FunctionField": "stages.options",
        "LabelNameField": "stages.options",
        "MetricNameField": "stages.options",
        "Options": "stages.options",
        "PartField": "stages.options",
        "RateField": "stages.options",
        "SizeField": "stages.options",
        "TemplateField": "stages.options",
    },
)
