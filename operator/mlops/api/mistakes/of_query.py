"""What is wrong with a query to a database, as far as its first word shows: the rest is the database's to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlops.api.mistakes.mistake import Mistake, at
from mlops.api.reasons import Reason
from mlops.api.sql_source import SqlSource

# Blanks, brackets and comments before the first word. No two ways to read one text.
_BEFORE = re.compile(r"[\s(]+|--[^\n]*|#[^\n]*|/\*(?:[^*]|\*(?!/))*\*/")
_READS = ("SELECT", "WITH", "VALUES", "TABLE")


def in_query(source: SqlSource | None) -> Iterator[Mistake]:
    """Yield the mistake of a query that is no SELECT. Nothing that it does would be kept, but it is not meant."""
    if source is None:
        return
    word = _first_word(source.query)
    if word.upper() not in _READS:
        problem = f'begins with "{word[:40]}": write one SELECT; it is read in a transaction that changes nothing'
        yield at("spec.source.sql.query", problem, Reason.QUERY_INVALID)


def _first_word(query: str) -> str:
    place = 0
    while found := _BEFORE.match(query, place):
        place = found.end()
    word = re.match(r"[A-Za-z_]+|.?", query[place:])
    return word[0] if word else ""
