"""Expressions: an allow-listed subset of Python, compiled once and applied to whole batches."""

from headrace.expressions.explanations import EvaluationError, ExpressionError, MissingFieldError
from headrace.expressions.expression import Expression, Select, compile_expression, compile_template

__all__ = [
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "MissingFieldError",
    "Select",
    "compile_expression",
    "compile_template",
]
