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
    plain = _joined(_ascii(text).lower(), "", "-")
    return plain[:_LONGEST_OBJECT].strip("-")


def object_key(file_name: str) -> str:
    """Return the name of a file in a bucket: one that an s3:// URI may hold, and that no sync passes over."""
    # Two points in a row could leave a folder, to a URI's rule.
    name = ".".join(part for part in _joined(_ascii(file_name), "._-", "-").split(".") if part)
    return name.lstrip("._-") or "data"


def _field_name(column: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", column) and len(column) <= _LONGEST_FIELD:
        return column
    name = _joined(_ascii(column), "", "_")
    if name[:1].isdigit():
        name = f"n{name}"
    return name[:_LONGEST_FIELD].strip("_")


def _joined(text: str, kept: str, sign: str) -> str:
    """Return the letters, digits and what is kept of an ASCII text, with one sign for all that is between them."""
    words = "".join(letter if letter.isalnum() or letter in kept else " " for letter in text).split()
    return sign.join(words)


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
