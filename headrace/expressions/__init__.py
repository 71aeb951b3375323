"""Expressions: an allowed subset of Python, compiled once and applied to whole batches."""

from headrace.expressions.explanations import EvaluationError, ExpressionError, MissingFieldError
from headrace.expressions.expression import Expression, Predicate, compile_expression, compile_template

__all__ = [
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "MissingFieldError",
    "Predicate",
    "compile_expression",
    "compile_template",
]
