"""Names that the API takes, from those that files and columns have."""

from __future__ import annotations

import re
import unicodedata

_LONGEST_FIELD, _LONGEST_OBJECT = 64, 40


def field_names(columns: list[str]) -> list[str]:
    """Return a valid name for each column, all different: its own where that is one."""
    taken: set[str] = set()
    names = []
    for at, column in enumerate(columns, 1):
        name = _free(_field_name(column) or f"column_{at}", taken)
        taken.add(name)
        names.append(name)
    return names


def object_name(text: str) -> str:
    """Return a name for objects and the model; empty if the text has no letter of it."""
    plain = re.sub(r"[^a-z0-9]+", "-", _ascii(text).lower()).strip("-")
    return plain[:_LONGEST_OBJECT].strip("-")


def object_key(file_name: str) -> str:
    """Return the name of a file in a bucket: one that an s3:// URI may hold, and that no sync passes over."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", _ascii(file_name)).lstrip("._-") or "data"


def _field_name(column: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", column) and len(column) <= _LONGEST_FIELD:
        return column
    name = re.sub(r"[^A-Za-z0-9]+", "_", _ascii(column)).strip("_")
    if name[:1].isdigit():
        name = f"n{name}"
    return name[:_LONGEST_FIELD].strip("_")


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    count = 2
    while (other := f"{name[: _LONGEST_FIELD - 6]}_{count}") in taken:
        count += 1
    return other


def _ascii(text: str) -> str:
    text = text.replace("ß", "ss").replace("€", "EUR").replace("%", " percent ")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
