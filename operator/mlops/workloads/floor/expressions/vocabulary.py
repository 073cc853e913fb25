"""The words of expressions: functions with the number of their arguments, and what is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mlops.api.expression_columns import RESERVED as RESERVED

MAX_ARGUMENTS = 64


def _named(names: str, least: int, most: int) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(names.split(), (least, most))


# Functions of one row whose result is bounded. The list stands in docs/dataset.md.
ARITIES: Final[Mapping[str, tuple[int, int]]] = {
    **_named("pi", 0, 0),
    **_named("abs cbrt exp ln log10 log1p log2 sign sqrt bit_count bit_not degrees radians ceil ceiling floor", 1, 1),
    **_named("acos acosd asin asind atan atand cos cosd cot cotd sin sind tan tand", 1, 1),
    **_named("round", 1, 2),
    **_named("atan2 atan2d bit_and bit_or bit_xor div log mod pow power xor", 2, 2),
    **_named("bit_length char_length character_length initcap length lower octet_length reverse upper normalize", 1, 1),
    **_named("ltrim rtrim trim", 1, 2),
    **_named("ends_with left position right starts_with strpos", 2, 2),
    **_named("regexp_like substr substring", 2, 3),
    **_named("replace", 3, 3),
    **_named("regexp_replace", 3, 4),
    **_named("lpad rpad", 2, 3),
    **_named("concat", 1, MAX_ARGUMENTS),
    **_named("concat_ws", 2, MAX_ARGUMENTS),
    **_named("day dayofmonth dayofweek dayofyear hour minute month quarter second week weekday year", 1, 1),
    **_named("extract", 1, 1),
    **_named("date_part strftime strptime", 2, 2),
    **_named("date datetime timestamp", 1, 2),
    **_named("cast try_cast", 1, 1),
    **_named("coalesce greatest least", 1, MAX_ARGUMENTS),
    **_named("if", 3, 3),
    **_named("ifnull nullif", 2, 2),
}

CLOCK: Final = frozenset(
    ("now", "today", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "getdate")
)
CHANCE: Final = frozenset(("random", "rand", "uuid", "gen_random_uuid"))
SUBQUERY: Final = frozenset(("select", "exists"))
AGGREGATES: Final = frozenset(
    ("array_agg", "avg", "count", "first", "last", "max", "mean", "median", "min", "stddev", "sum", "variance")
)
