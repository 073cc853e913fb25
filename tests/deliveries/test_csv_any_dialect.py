"""Text that is nearly in a dialect, in any dialect: read or refused with a sentence, never an exception."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from pydantic import ValidationError

from mlops.workloads.ingest import blocks, decompress
from tests.deliveries.csv_reading import Object, outcome

_ANYTHING = (
    "a", "b", "1", "2.5", ",", ";", '"', "'", "\n", "\r", "\r\n", "\\", "#", " ", "\t", "\x01", "\x1f", "ü", "日", "-",
    "a,b\n", '"x"', "\\N", "NA", "2024-05-01", "\ufeff", "12 %",
)  # fmt: skip

# Bytes in which a byte order mark, or another kind of file, is told.
_HEAD = 8


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
@pytest.mark.parametrize(("seed", "texts"), [(3, 500), pytest.param(4, 2000, marks=pytest.mark.long)])
def test_no_text_and_no_dialect_ends_in_an_exception(
    seed: int, texts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many random ones are read, or refused with a sentence, in blocks of any size to the same end.

    Of two faults in a file the one that is named may be either.
    """
    random = Random(seed)
    fields: list[Object] = [
        {"name": "a", "type": "string", "nullable": True, "position": 1},
        {"name": "b", "type": "float64", "nullable": True, "position": 2},
        {"name": "c", "type": "timestamp", "nullable": True, "position": 1},
    ]
    for _ in range(texts):
        dialect = _any_dialect(random)
        text = _any_rows(random, dialect)
        data = text.encode(dialect.get("encoding", "utf-8"), errors="replace")
        found = []
        for size in (_HEAD, 1 << 20):
            monkeypatch.setattr(blocks, "BLOCK", size)
            monkeypatch.setattr(blocks, "_FIRST", size)
            monkeypatch.setattr(decompress, "READ", size)
            try:
                found.append(outcome(tmp_path / "x.csv", data, fields, dialect))
            except ValidationError:
                break
        ends = {"refused" if isinstance(one, str) else str(one) for one in found}
        assert len(ends) <= 1, (data, dialect, found)
