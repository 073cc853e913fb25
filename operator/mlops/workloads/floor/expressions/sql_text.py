"""The text of a SQL expression, before the SQL engine sees it: which functions it calls, and how large it can become.

The engine copies operands: `nullif(x, 1)` becomes a choice in which x stands twice, and thirty of them within each
other become 2^30 nodes. So the text is read here first, token by token, and its size after copying is bounded. What
this reading does not understand it refuses: an engine that is handed only known tokens has no quotation mark, comment
or string of its own dialect that would hide something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

LONGEST, MAX_WEIGHT, MAX_ARGUMENTS = 1024, 2048, 64


class SqlRefused(ValueError):
    """The text cannot be used; the message goes on after "the expression ..."."""


@dataclass(frozen=True)
class Function:
    """How many arguments a function takes, and how often one of them stands in what the engine makes of it."""

    least: int
    most: int
    copies: int = 1


def _named(names: str, least: int, most: int, copies: int = 1) -> dict[str, Function]:
    return dict.fromkeys(names.split(), Function(least, most, copies))


# Functions of one row whose result is bounded. The list stands in docs/dataset.md.
FUNCTIONS: Final[Mapping[str, Function]] = {
    **_named("pi", 0, 0),
    **_named("abs cbrt exp ln log10 log1p log2 sign sqrt bit_count bit_not degrees radians", 1, 1),
    **_named("acos acosd asin asind atan atand cos cosd cot cotd sin sind tan tand", 1, 1),
    **_named("ceil ceiling floor round", 1, 2),
    **_named("atan2 atan2d bit_and bit_or bit_xor div log mod pow power xor", 2, 2),
    **_named("bit_length char_length character_length initcap length lower octet_length reverse upper", 1, 1),
    **_named("ltrim rtrim trim normalize", 1, 2),
    **_named("ends_with left starts_with", 2, 2),
    **_named("position", 1, 1),
    **_named("strpos", 2, 2),
    **_named("right", 2, 2, 2),
    **_named("regexp_like", 2, 3),
    **_named("substr substring", 1, 3, 2),
    **_named("replace", 3, 3),
    **_named("regexp_replace", 3, 4),
    **_named("lpad rpad", 2, 3, 3),
    **_named("concat", 1, MAX_ARGUMENTS),
    **_named("concat_ws", 2, MAX_ARGUMENTS),
    **_named("day dayofmonth dayofyear hour minute month quarter second week year", 1, 1),
    **_named("dayofweek", 1, 1, 2),
    **_named("extract", 1, 1),
    **_named("date_part strftime strptime", 2, 2),
    **_named("date datetime timestamp", 1, 2),
    **_named("cast try_cast", 1, 1),
    **_named("coalesce greatest least", 1, MAX_ARGUMENTS),
    **_named("if", 3, 3),
    **_named("ifnull", 2, 2),
    **_named("nullif", 2, 2, 2),
}

_CLOCK = {"now", "today", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "getdate"}
_CHANCE = {"random", "rand", "uuid", "gen_random_uuid"}
_SUBQUERY = {"select", "exists"}
_AGGREGATES = {
    "array_agg",
    "avg",
    "count",
    "first",
    "last",
    "max",
    "mean",
    "median",
    "min",
    "stddev",
    "sum",
    "variance",
}
# Words that may stand before a bracket and call nothing: operators, and types with a size.
_OPERATORS = {
    *("and", "as", "between", "by", "case", "distinct", "else", "escape", "for", "from", "ilike", "in", "is", "like"),
    *("not", "or", "regexp", "rlike", "then", "when", "xor"),
}
_TYPES = {"decimal", "numeric", "varchar", "char", "float", "timestamp", "time"}
# Directly before a quotation mark they begin a text in which other rules hold.
_PREFIXES = {"b", "e", "n", "q", "nq", "r", "u", "x"}
_TOKEN = re.compile(
    r"""'[^']*'?|"[^"]*"?|`[^`]*`?|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|--|/\*|[ \t]+|[-+*/%=<>!~|&^#.,():\[\]@]"""
)


@dataclass
class _Group:
    """What stands between two brackets, or between CASE and END."""

    name: str
    opened_by: str
    commas: int = 0
    tokens: int = 0
    weight: int = 0
    # What has been read since the last comma or connective: the engine may copy it for BETWEEN and IN.
    segment: int = 0
    # Of `CASE x WHEN`: what x weighs; None in other groups and after the first WHEN.
    operand: int | None = None
    whens: int = 0
    items_of_in: bool = field(default=False)

    def add(self, weight: int) -> None:
        self.tokens += 1
        self.weight += weight
        self.segment += weight


def check_text(text: str, columns: Iterable[str]) -> None:
    """Raise SqlRefused for a text that has other than known tokens and functions, or would become too large."""
    if len(text) > LONGEST:
        raise SqlRefused(f"has {len(text)} characters; at most {LONGEST} are allowed")
    tokens = list(_tokens(text))
    known = set(columns)
    for at, token in enumerate(tokens):
        _check_word(token, tokens[at + 1] if at + 1 < len(tokens) else "", known)
    weight = _weigh(tokens)
    if weight > MAX_WEIGHT:
        raise SqlRefused(
            f"is too large: the engine copies operands (of nullif, right, BETWEEN, CASE x WHEN ...), and there would "
            f"be {weight} parts; at most {MAX_WEIGHT} are allowed: split it into several features"
        )


def _tokens(text: str) -> Iterator[str]:
    at, before = 0, ""
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise SqlRefused(f"cannot be parsed: the character {text[at]!r} has no meaning here")
        token = found[0]
        at = found.end()
        if token[0] in "'\"`" and (len(token) == 1 or token[-1] != token[0]):
            raise SqlRefused(f"cannot be parsed: a {token[0]} is not closed")
        if token[0] == "'" and (before.lower() in _PREFIXES or before == "&"):
            raise SqlRefused(f"cannot be parsed: {before}'...' is not supported; write a text as '...'")
        before = token
        if not token.isspace():
            yield token


def _check_word(token: str, after: str, known: set[str]) -> None:
    word, called = token.lower(), after == "("
    if token in {"--", "/*"}:
        raise SqlRefused("has a comment: leave it out")
    if token in {"[", "]"}:
        raise SqlRefused("cannot be parsed: lists ([ ]) are not supported")
    if token[0] in '"`' and called:
        raise SqlRefused(f"cannot be parsed: {token} is quoted, and no function")
    if not (token[0].isalpha() or token[0] == "_") or (token in known and not called):
        return
    if word in _SUBQUERY:
        raise SqlRefused("has a subquery, but must be computed row by row from the row's columns")
    if word in _CHANCE and called:
        raise SqlRefused(f"uses {word}(): a row must always give the same value")
    if word in _CLOCK and (called or word.startswith(("current_", "local"))):
        raise SqlRefused(f"uses the clock ({word}): a row must always give the same value")
    if called and word not in FUNCTIONS and word not in _OPERATORS and word not in _TYPES:
        what = "an aggregate, " if word in _AGGREGATES else ""
        raise SqlRefused(
            f"is not computed row by row: it has {what}{word}(), which is not on the list of functions in "
            "docs/dataset.md"
        )


def _weigh(tokens: list[str]) -> int:
    """Return how many parts the engine makes of the text at most."""
    stack = [_Group("", "")]
    before = ""
    for token in tokens:
        word, top = token.lower(), stack[-1]
        match word:
            case "(":
                stack.append(_Group(before, "(", items_of_in=before == "in"))
            case "case":
                stack.append(_Group("case", "case", operand=0))
            case ")":
                _close(stack, word)
            case "end" if top.opened_by == "case":
                _close(stack, word)
            case ",":
                top.commas, top.segment = top.commas + 1, 0
            case "and" | "or" | "then" | "else":
                top.add(1)
                top.segment = 0
            case "when":
                if top.opened_by == "case":
                    top.operand = top.segment if top.whens == 0 else top.operand
                    top.whens += 1
                top.segment = 0
            case "between":
                # `x BETWEEN a AND b` is `x >= a AND x <= b`.
                top.weight += top.segment
                top.add(1)
            case _:
                top.add(1)
        before = word
    return sum(group.weight for group in stack)


def _close(stack: list[_Group], word: str) -> None:
    group = stack.pop()
    if group.opened_by != ("(" if word == ")" else "case") or not stack:
        raise SqlRefused(f"cannot be parsed: {word!r} closes nothing")
    arguments = group.commas + 1 if group.tokens else 0
    function = FUNCTIONS.get(group.name) if group.opened_by == "(" else None
    if function is not None and not (function.least <= arguments <= function.most) and group.name not in _TYPES:
        wanted = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        raise SqlRefused(f"cannot be parsed: {group.name}() takes {wanted} arguments, here it has {arguments}")
    weight = group.weight * (function.copies if function is not None else 1)
    if group.opened_by == "case":
        weight += (group.operand or 0) * group.whens
    top = stack[-1]
    if group.items_of_in:
        # `x IN (a, b)` is `x = a OR x = b`.
        top.weight += top.segment * (group.commas + 1)
    top.add(weight)
