"""Tables in columns, scanned by a native reader: to their end in a child, and what to say when it gives up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import polars as pl

from mlops.api.reasons import Reason
from mlops.workloads.floor.failures import BadInput

_ROWS: Final = 131_072
_SHOWN: Final = 200
_PLAIN: Final = "write it with plain types (numbers, text, true and false, timestamps), as Parquet or CSV"


def scan_through(scan: Callable[[], pl.LazyFrame], what: str, name: str, columns: Sequence[str]) -> None:
    """In a child: read columns, top-level or by path, to their end."""
    try:
        frame = scan()
        present = frame.collect_schema()
        tops = {top for one in columns if (top := top_of(one, present)) is not None}
        for _ in batches(frame, sorted(tops), _ROWS):
            pass
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise unreadable(error, what, name) from error


def batches(frame: pl.LazyFrame, columns: Sequence[str | pl.Expr], rows: int) -> Iterator[pl.DataFrame]:
    """Yield the columns of all rows in their order, about `rows` at a time. Raises PolarsError if some are left out.

    Where a thread of the reader gives up, polars ends the batches as if the file ended there.
    """
    expected, read = int(frame.select(pl.len()).collect().item()), 0
    for chunk in frame.select(columns).collect_batches(chunk_size=rows, maintain_order=True):
        read += chunk.height
        yield chunk
    if columns and read != expected:
        raise pl.exceptions.ComputeError(f"{read} of its {expected} rows could be read")


def unreadable(error: BaseException, what: str, name: str) -> BadInput:
    """Return the refusal of a file that the reader gave up on, in words that lead out."""
    problem = str(error).partition("\n")[0][:_SHOWN]
    if isinstance(error, pl.exceptions.DuplicateError):
        said = f"has two columns of one name ({problem}): rename one"
    elif isinstance(error, pl.exceptions.PanicException) or "precision must be" in problem:
        said = f"has a column of a type that is not read here ({problem}): {_PLAIN}"
    else:
        said = f"is damaged: {problem}: write it again, or deliver it again"
    return BadInput(Reason.FORMAT_ERROR, f"{name}: the {what} file {said}")


def top_of(column: str, present: Mapping[str, pl.DataType]) -> str | None:
    """Return the longest name that is the column, or that the column's path begins with."""
    parts = column.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((one for one in names if one in present), None)
