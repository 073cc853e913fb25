"""One mistake of a user's: where, what, and a way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlops.api.reasons import Reason

# More on one screen help nobody: the first ones are mended first.
MOST_LISTED = 25


@dataclass(frozen=True)
class Mistake:
    """What is wrong at a field's `path`; `said` is the whole sentence with the path, the value and a way out."""

    path: str
    said: str
    reason: Reason


def listed(lines: Sequence[str], most: int = MOST_LISTED) -> str:
    """Return the lines, one below the other, and how many more there are."""
    more = len(lines) - most
    return "\n".join([*lines[:most], *([f"and {more} more"] if more > 0 else [])])


def at(path: str, problem: str, reason: Reason) -> Mistake:
    """Return the mistake with its path before what is wrong."""
    return Mistake(path, f"{path}: {problem}", reason)


def said_at(path: str, said: str | None, reason: Reason) -> Iterator[Mistake]:
    """Yield the mistake if there is something to say of it, which names the path already."""
    if said is not None:
        yield Mistake(path, said, reason)


def unknown_names(names: Iterable[str], known: Sequence[str], path: str) -> Iterator[Mistake]:
    """Yield a mistake for each name that is none of the contract's."""
    for name in names:
        if name not in known:
            yield at(path, f'"{name}" is not in spec.fields; there are: {", ".join(known)}', Reason.SCHEMA_MISMATCH)
