"""Which columns an expression names, told from its words: without parsing it, so that no engine is needed.

It may overlook a column, never invent one: what a word means elsewhere in SQL is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(r"""'[^']*'?|"[^"]*"?|`[^`]*`?|[A-Za-z_][A-Za-z0-9_]*|[^ \t]""")
# Words of SQL's own: columns of these names are written in quotation marks.
RESERVED = frozenset(
    (
        *("and", "as", "between", "case", "distinct", "else", "end", "from", "having", "ilike", "in", "is", "like"),
        *("not", "or", "over", "regexp", "rlike", "then", "union", "when", "where", "xor"),
    )
)
_VALUES = frozenset(("null", "true", "false"))
# Before a text they say of which type it is: date '2020-01-01'.
_TYPED_TEXT = re.compile(r"(?i)date|datetime|timestamp|time|interval")


def columns_named(expression: str, columns: Iterable[str]) -> frozenset[str]:
    """Return those of the columns that the expression names."""
    known = frozenset(columns)
    tokens = _TOKEN.findall(expression)
    return frozenset(
        name
        for index, token in enumerate(tokens)
        if (name := token.strip('"`') if token[0] in '"`' else token) in known
        and not _means_something_else(tokens, index)
    )


def _means_something_else(tokens: list[str], index: int) -> bool:
    token, before = tokens[index], tokens[index - 1].lower() if index else ""
    after = tokens[index + 1] if index + 1 < len(tokens) else ""
    if token[0] == "'":
        return True
    if token[0] in '"`':
        return False
    if token.lower() in RESERVED or token.lower() in _VALUES:
        return True
    a_call, a_type = after == "(", before in ("as", ":", "double")
    of_a_text = after.startswith("'") and _TYPED_TEXT.fullmatch(token) is not None
    part_of_a_date = index > 1 and before == "(" and tokens[index - 2].lower() == "extract"
    unit = index > 1 and before.startswith("'") and tokens[index - 2].lower() == "interval"
    return a_call or a_type or of_a_text or part_of_a_date or unit


def with_derived(names: Iterable[str], features: Iterable[tuple[str, str]], columns: Iterable[str]) -> frozenset[str]:
    """Return the columns named, and every feature (name, expression) that is computed from one of them, however far."""
    found, known = set(names), list(columns)
    for name, expression in features:
        if columns_named(expression, known) & found:
            found.add(name)
        known.append(name)
    return frozenset(found)
