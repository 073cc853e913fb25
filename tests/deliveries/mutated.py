"""Deliveries that are broken in their structure, and what becomes of their rows by an independent count.

Each way to take ragged rows is tested in a file of its own: workers share files.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest import blocks, decompress
from mlops.workloads.ingest.aside import RowsAside
from tests.deliveries.csv_reading import Object, Refused, Row, letter_by_letter, read, texts

DELIVERIES = 2_400
_FIELDS = ("x", "", "y z", '"q"', '"a,b"', '"say ""hi"""', '"l1\nl2"', '""', '"\r\n"', "ü", "'", "12", '",""",', "-")
_MUTANTS = ('"', ",", "\n", "\r", "\r\n", "\\", '""', " ", ";", "\n\n", '",', ',"', '\\"', "#", "é")
_WIDTH = 3


def _delivery(random: Random) -> str:
    end = random.choice(("\n", "\n", "\r\n"))
    rows = [",".join(random.choice(_FIELDS) for _ in range(_WIDTH)) for _ in range(random.randrange(1, 9))]
    return end.join(["a,b,c", *rows]) + random.choice(("", end, end * 2))


def _mutated(text: str, random: Random) -> str:
    """Insert, remove, double or exchange a sign of the structure, up to three times, behind the header."""
    begin = text.index("\n") + 1
    for _ in range(random.randrange(4)):
        at = random.randrange(begin, len(text) + 1)
        cut = random.choice((0, 0, 1, 2))
        text = text[:at] + random.choice((*_MUTANTS, "")) + text[at + cut :]
    return text


def _expected(text: str, delimiter: str, quote: str, escape: str) -> list[list[str]] | None:
    """Return the rows that there are, without the header; None if the text is not of the dialect."""
    try:
        return letter_by_letter(text.rstrip("\r\n"), delimiter, quote, escape)[1:]
    except Refused:
        return None


def check_mutated_deliveries(folder: Path, monkeypatch: pytest.MonkeyPatch, ragged: str) -> None:
    """Read 2,400 mutated files, each in blocks of another size: nothing gets lost."""
    random = Random(ragged)
    read_ones = 0
    for _ in range(DELIVERIES):
        text = _mutated(_delivery(random), random)
        delimiter, quote = random.choice((",", ",", ";", "|")), random.choice(('"', '"', "'"))
        text = text.translate(str.maketrans({",": delimiter, delimiter: ",", '"': quote, quote: '"'}))
        escape = random.choice(("", "", "\\"))
        size = random.choice((1, 7, 30, 1 << 20))
        monkeypatch.setattr(blocks, "BLOCK", size)
        monkeypatch.setattr(blocks, "_FIRST", size)
        monkeypatch.setattr(decompress, "READ", size)
        dialect: Object = {"ragged": ragged, "escape": escape, "delimiter": delimiter, "quote": quote}
        delivered = _expected(text, delimiter, quote, escape)
        rejected = RowsAside()
        kept, refusal = _read(folder, text, dialect, rejected)
        if refusal:
            assert delivered is None or _is_ragged(delivered, ragged), (text, refusal)
            assert "row" in refusal or "header" in refusal
            continue
        assert delivered is not None, text
        read_ones += 1
        assert len(kept) + len(rejected.rows) == len(delivered), text
        wanted = [row for row in delivered if ragged == "Pad" or len(row) == _WIDTH]
        assert [["" if one is None else one for one in row] for row in kept] == list(map(_padded, wanted)), text
        assert len(rejected.rows) == len(delivered) - len(wanted)
    assert read_ones > DELIVERIES // 8


def _read(folder: Path, text: str, dialect: Object, rejected: RowsAside) -> tuple[list[Row], str]:
    try:
        return read(folder / "x.csv", text, texts("a", "b", "c"), dialect, rejected), ""
    except BadInput as error:
        return [], error.message


def _is_ragged(delivered: list[list[str]], ragged: str) -> bool:
    if ragged == "Pad":
        return any(any(row[_WIDTH:]) for row in delivered)
    return ragged == "Refuse" and any(len(row) != _WIDTH for row in delivered)


def _padded(row: list[str]) -> list[str]:
    return [*row, *[""] * _WIDTH][:_WIDTH]
