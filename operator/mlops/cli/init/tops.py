"""The top of a table: which of its first rows hold titles, which the columns' names, and where the data begin."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from mlops.cli.errors import UserError
from mlops.cli.init.evidence import NULL_WORDS

_NUMBER = re.compile(r"[+-]?[$€£]?([0-9]+([.,' \u00a0\u202f][0-9]+)*|[.,][0-9]+)([eE][+-]?[0-9]+)? ?[%€]?")
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9A-Za-z]{1,3}[-/.][0-9]{1,4}([T ].*)?")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
_YEAR = re.compile(r"(19|20)[0-9]{2}")
_MOST = 8  # rows of names
# Rows in which a table's data have begun.
_DEEPEST = 40
_RULER = re.compile(r"[-=+|_ ]{3,}")


@dataclass(frozen=True)
class Top:
    """How many rows stand before the names, and how many hold names."""

    before: int
    header: int


def is_value(cell: str) -> bool:
    """Return whether a text is a number or a time, as data are and names hardly."""
    cell = cell.strip()
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell) or _CLOCK.fullmatch(cell))


def top_of(rows: list[list[str]], width: int, said: int | None, names: set[str]) -> Top:
    """Return the top of a table of which these are the first rows, `width` fields wide as a rule.

    `said` is how many rows of names there are, if the user says it; `names` are columns that the user named. Raises
    UserError if nothing tells names from values.
    """
    first = next((at for at, row in enumerate(rows) if len(row) == width), 0)
    begins, votes, columns = _begins(rows[first:], width)
    rows = [[cell.strip() for cell in row] for row in rows]
    begins = _past_names(rows, begins + first, columns)
    if said is not None:
        return Top(max(0, begins - said) if begins >= said else _before(rows, first, width, begins), said)
    _check_ruler(rows, first, begins)
    if named := [at for at, row in enumerate(rows[: _MOST + first]) if names & {cell.strip() for cell in row}]:
        return Top(named[0], 1)
    top = first
    while width > 2 and _is_title(rows, first, width, columns):
        first += 1
        begins = max(begins, first)
    if begins == first:
        before = first if first > top else _before(rows, first, width, begins)
        return Top(before, _without_contrast(rows[before:], columns))
    if begins == first + 1:
        before = _before(rows, first, width, begins)
        return Top(before, begins - before if begins - before == 1 else 1)
    start = begins
    while start > first and begins - start < _MOST and _may_be_names(rows[start - 1], width):
        start -= 1
    while start < begins and sum(map(bool, rows[start])) < max(min(2, width), width / 2):
        start += 1
    skipped = [
        row
        for row in rows[first:start]
        if len(row) == width and any(is_value(row[at]) and not _YEAR.fullmatch(row[at]) for at in columns)
    ]
    if start < begins and not skipped and (begins - start == 1 or votes > 1):
        return Top(start, begins - start)
    _check_repeated(rows, first)
    if _is_over_values(rows, first, width):
        return Top(_before(rows, first, width, first + 1), 1)
    if all(sum(map(bool, row)) < 2 for row in rows[first:begins]):
        # Titles in the first field, then names that could be values.
        return Top(begins, _without_contrast(rows[begins:], columns))
    raise UserError(_question(rows[first : begins + 1]))


def _is_title(rows: list[list[str]], at: int, width: int, columns: list[int]) -> bool:
    """Return whether a row is a title in its first field, or empty, above rows that are filled."""
    row = rows[at]
    if len(row) != width or at + 1 >= len(rows) or sum(map(bool, row)) > 1 or any(row[one] for one in columns):
        return False
    then = next((row for row in rows[at + 1 :] if sum(map(bool, row)) > 1), [])
    return bool(columns) and not any(map(is_value, row)) and sum(map(bool, then)) > width / 2


def _check_repeated(rows: list[list[str]], first: int) -> None:
    again = next((at for at in range(first + 1, len(rows)) if rows[at] == rows[first]), None)
    if again is not None and not any(map(is_value, rows[first])):
        raise UserError(
            f"the names {', '.join(rows[first])[:120]!r} stand again as row {again - first}: leave them out there, or "
            "say by --header what are names"
        )


def _is_over_values(rows: list[list[str]], first: int, width: int) -> bool:
    """Return whether the first row holds names over columns of values, a few of which are texts further down."""
    below = rows[first + 1 :]
    typed = []
    for at in range(width):
        cells = [row[at] for row in below[len(below) // 2 :] if at < len(row) and row[at]]
        if cells and sum(map(is_value, cells)) > 0.6 * len(cells):
            typed.append(at)
    names = [rows[first][at] for at in typed if at < len(rows[first])]
    then = [below[0][at] for at in typed if at < len(below[0]) and below[0][at]] if below else []
    return len(typed) > 1 and all(names) and not any(map(is_value, names)) and sum(map(is_value, then)) > len(then) / 2


def _begins(rows: list[list[str]], width: int) -> tuple[int, int, list[int]]:
    """Return the first row of data by what the columns hold below it, how many columns say so, and which are typed."""
    ranges: list[range] = []
    typed = []
    for at in range(width):
        cells = [row[at].strip() if at < len(row) else "" for row in rows]
        kinds = ["" if not cell or cell.lower() in NULL_WORDS else "v" if is_value(cell) else "t" for cell in cells]
        last = max((i for i, kind in enumerate(kinds) if kind == "t"), default=-1)
        if "v" in kinds[last + 1 :] and last < min(_DEEPEST, max(len(rows) - 1, 1)):
            # Behind its last text, and no later than its first value: what is empty between says nothing.
            ranges.append(range(last + 1, kinds.index("v", last + 1) + 1))
            typed.append(at)
    counts = Counter(row for one in ranges for row in one)
    if not counts:
        return 0, 0, []
    begins = min(counts, key=lambda one: (-counts[one], one))
    return begins, counts[begins], typed


def _before(rows: list[list[str]], first: int, width: int, begins: int) -> int:
    """Return how many of the rows before the first one that is as wide as most are titles."""
    if not first:
        return 0
    if begins == first + 1 and len(rows[first]) == width and sum(map(bool, rows[first])) > 1:
        # Names over values: what stands before them is none of the table.
        return first
    # A header that is narrower by trailing columns is one all the same.
    return first if all(len(row) == 1 or len(row) < width - 1 for row in rows[:first]) else 0


def _past_names(rows: list[list[str]], begins: int, columns: list[int]) -> int:
    """Return where the data begin, if some columns have one more row of names than most."""
    while begins and begins + 1 < len(rows):
        cells = [rows[begins][at].strip() for at in columns if at < len(rows[begins])]
        if any(map(is_value, cells)):
            break
        # A third row of which little is filled says more of names: what a column is for.
        filled = sum(map(bool, rows[begins]))
        is_remark = begins > 1 and 0 < filled <= len(rows[begins]) / 2
        if all(not cell or cell.lower() in NULL_WORDS for cell in cells) and not is_remark:
            break
        begins += 1
    return begins


def _may_be_names(row: list[str], width: int) -> bool:
    filled = [cell.strip() for cell in row if cell.strip()]
    values = [cell for cell in filled if is_value(cell) and not _YEAR.fullmatch(cell)]
    return len(row) == width and bool(filled) and not values


def _without_contrast(rows: list[list[str]], typed: list[int]) -> int:
    """Return 1 if the first row holds names though no column is of another kind below. Raises UserError."""
    first, others = [cell.strip() for cell in rows[0]], rows[1:]
    # A text over numbers is no step of a ladder: it speaks for names itself.
    steps = [at for at in typed if at < len(first) and is_value(first[at])]
    if any(not is_value(cell) for cell in first) and _are_steps([first[at] for at in steps], others, steps):
        return 1
    if typed and any(first[at] for at in typed if at < len(first)):
        return 0
    # Where no number stands in the first row, its texts may be names all the same: R leaves that of its index empty.
    columns = [[row[at].strip() for row in others if at < len(row) and row[at].strip()] for at in range(len(first))]
    if (all(first) or typed) and len(set(first)) == len(first):
        if not any(name and name in column for name, column in zip(first, columns, strict=True)):
            return 1
        if any(is_value(name) or name.lower() in NULL_WORDS for name in first):
            return 0
    if typed:
        return 0
    raise UserError(
        f"the first row is {', '.join(first)[:200]!r}: nothing tells names from values here: say --header 1 if these "
        "are the columns' names, --header 0 if they are data"
    )


def _are_steps(names: list[str], others: list[list[str]], typed: list[int]) -> bool:
    """Return whether numbers in the first row are years or steps one after the other, and those below are none."""
    if not others or not _is_ladder(names):
        return False
    below = [[row[at].strip() for at in typed if at < len(row)] for row in others[:_DEEPEST]]
    if all(map(_YEAR.fullmatch, filter(None, names))):
        return not all(_YEAR.fullmatch(cell) for row in below for cell in row if cell)
    return not all(map(_is_ladder, below))


def _is_ladder(cells: list[str]) -> bool:
    """Return whether the cells are two years or three numbers at least, each above the one before."""
    cells = [cell for cell in cells if cell]
    if len(cells) < 2 or (len(cells) < 3 and not all(map(_YEAR.fullmatch, cells))):
        return False
    try:
        steps = {Decimal(b) - Decimal(a) for a, b in pairwise(cells)}
    except InvalidOperation:
        return False
    return min(steps) > 0 and (len(steps) == 1 or len(cells) > 4)


def _check_ruler(rows: list[list[str]], first: int, begins: int) -> None:
    for row in rows[: max(first, begins) + 1]:
        if (len(row) > 1 and all(_RULER.fullmatch(cell) for cell in row)) or (len(row) == 1 and row[0].count("-+-")):
            raise UserError(
                f"the row {','.join(row)[:60]!r} is a ruler of a table that was printed: export it as CSV, in psql "
                "by \\copy (...) to file csv header"
            )


def _question(rows: list[list[str]]) -> str:
    shown = " / ".join(", ".join(row)[:60] for row in rows[:4])
    return f"the first rows are {shown[:240]!r}: nothing tells how many of them are names: say it by --header"
