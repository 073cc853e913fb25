"""SQL expressions over one row: what they may say, how long their results become, and their values.

    lexer, syntax, parser                what is written: tokens, then a tree of words
    kinds, unify, casts                  types inside an expression
    operators, functions, resolve        from words to operations, by the types of the columns
    arithmetic, elementary, texts, times, calendar_parts, intervals, engine_texts
                                         the operations, of one value and of arrays
    scalar, vector                       the two back ends: one row, many rows, the same bits
    program                              an expression that was checked, and features that build on each other
    frames                               the same over frames of polars, at ingest

What the rest of the program calls is here, but for `frames`, which alone needs polars.
"""

from mlops.workloads.floor.expressions.errors import ExpressionError
from mlops.workloads.floor.expressions.program import Chain, Program, check, computed_from, program, with_derived

__all__ = ["Chain", "ExpressionError", "Program", "check", "computed_from", "program", "with_derived"]
