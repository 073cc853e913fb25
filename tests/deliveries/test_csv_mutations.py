"""Deliveries that are broken in their structure: every row is kept, put aside or refused, by an independent count."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from pydantic import ValidationError

from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest import blocks
from mlops.workloads.ingest.aside import RowsAside
from tests.deliveries.csv_reading import Object, Refused, Row, letter_by_letter, outcome, read, texts

# In parts, which workers share.
DELIVERIES, PARTS = 2_400, 4
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


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("ragged", ["Refuse", "Pad", "Quarantine"])
def test_rows_delivered_are_rows_kept_and_put_aside_or_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ragged: str, part: int
) -> None:
    """2,400 mutated files for each way to take ragged rows, each in blocks of another size: nothing gets lost."""
    random = Random(f"{ragged} {part}")
    read_ones = 0
    for _ in range(DELIVERIES // PARTS):
        text = _mutated(_delivery(random), random)
        delimiter, quote = random.choice((",", ",", ";", "|")), random.choice(('"', '"', "'"))
        text = text.translate(str.maketrans({",": delimiter, delimiter: ",", '"': quote, quote: '"'}))
        escape = random.choice(("", "", "\\"))
        monkeypatch.setattr(blocks, "BLOCK", random.choice((1, 7, 30, 1 << 20)))
        dialect: Object = {"ragged": ragged, "escape": escape, "delimiter": delimiter, "quote": quote}
        delivered = _expected(text, delimiter, quote, escape)
        rejected = RowsAside()
        kept, refusal = _read(tmp_path, text, dialect, rejected)
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
    assert read_ones > DELIVERIES // PARTS // 8


def _read(tmp_path: Path, text: str, dialect: Object, rejected: RowsAside) -> tuple[list[Row], str]:
    try:
        return read(tmp_path / "x.csv", text, texts("a", "b", "c"), dialect, rejected), ""
    except BadInput as error:
        return [], error.message


def _is_ragged(delivered: list[list[str]], ragged: str) -> bool:
    if ragged == "Pad":
        return any(any(row[_WIDTH:]) for row in delivered)
    return ragged == "Refuse" and any(len(row) != _WIDTH for row in delivered)


def _padded(row: list[str]) -> list[str]:
    return [*row, *[""] * _WIDTH][:_WIDTH]


_ANYTHING = (
    "a", "b", "1", "2.5", ",", ";", '"', "'", "\n", "\r", "\r\n", "\\", "#", " ", "\t", "\x01", "\x1f", "ü", "日", "-",
    "a,b\n", '"x"', "\\N", "NA", "2024-05-01", "\ufeff", "12 %",
)  # fmt: skip


def _any_dialect(random: Random) -> Object:
    choices: Object = {
        "delimiter": (",", ";", "\t", "||", " ", "\x1f", "日"),
        "quote": ('"', "'", "", "\\"),
        "escape": ("", "\\", '"'),
        "encoding": ("utf-8", "utf-16", "latin-1", "cp1252", "shift-jis", "gb18030"),
        "header": (0, 1, 2, 3),
        "skipRows": (0, 1, 3),
        "footerRows": (0, 1, 2),
        "comment": ("#", "//", '"'),
        "decimal": (".", ","),
        "nullValues": (["NA"], ["\\N", ""], []),
        "rowDelimiter": ("\n", "\r\n", "\r", ";", "ab"),
        "skipInitialSpace": (False, True),
        "ragged": ("Refuse", "Pad", "Quarantine"),
    }
    return {name: random.choice(values) for name, values in choices.items() if random.random() < 0.25}


def _any_rows(random: Random, dialect: Object) -> str:
    """Return rows nearly in the dialect, with anything put in between."""
    delimiter, quote = dialect.get("delimiter", ","), dialect.get("quote", '"')
    end = dialect.get("rowDelimiter", random.choice(("\n", "\r\n", "\r")))
    fields = [one for one in _ANYTHING if not {*delimiter, *end, quote} & {*one}]
    fields += [f"{quote}{one}{quote}" for one in (*fields, *delimiter, *end) if quote]
    rows = [delimiter.join(random.choice(fields) for _ in range(2)) for _ in range(random.randrange(1, 9))]
    text = end.join(rows) + random.choice(("", end))
    for _ in range(random.choice((0, 0, 1, 3))):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(_ANYTHING) + text[at:]
    return text


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_text_and_no_dialect_ends_in_an_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """2,000 random ones are read, or refused with a sentence, in blocks of any size to the same end."""
    random = Random(part)
    fields: list[Object] = [
        {"name": "a", "type": "string", "nullable": True, "position": 1},
        {"name": "b", "type": "float64", "nullable": True, "position": 2},
        {"name": "c", "type": "timestamp", "nullable": True, "position": 1},
    ]
    for _ in range(2000 // PARTS):
        dialect = _any_dialect(random)
        text = _any_rows(random, dialect)
        data = text.encode(dialect.get("encoding", "utf-8"), errors="replace")
        found = []
        for size in (1, 1 << 20):
            monkeypatch.setattr(blocks, "BLOCK", size)
            try:
                found.append(outcome(tmp_path / "x.csv", data, fields, dialect))
            except ValidationError:
                break
        assert len({str(one) for one in found}) <= 1, (data, dialect, found)
