"""The one expression language: formulas, interlocks, alarms and KPIs are all written in it.

Text is parsed to a flat program (`parse`), names, types and units are checked and conversions put in (`check`), and the
program runs on columns (`evaluate`). Nothing is ever handed to Python's own `eval`. Values are three-valued: one whose
status is bad is unknown, and `false and unknown` is false.
"""

from isthmus.values.expression.compile import Expression, compile_expression
from isthmus.values.expression.evaluate import Column
from isthmus.values.expression.program import MAX_CHARS, MAX_DEPTH, ExpressionError, Symbol, Window, window_of

__all__ = [
    "MAX_CHARS",
    "MAX_DEPTH",
    "Column",
    "Expression",
    "ExpressionError",
    "Symbol",
    "Window",
    "compile_expression",
    "window_of",
]
