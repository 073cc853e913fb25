"""Blocks that are told by counting are read as those that are resolved sign by sign, and refused in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest import blocks, delimited
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.delimited import read_csv
from mlops.workloads.ingest.regular import Regular
from tests.deliveries.csv_reading import Row, contract, texts

FIELDS = [*texts("a", "b"), {"name": "n", "type": "float64", "nullable": True}]
ROWS = [f"x{i},y,{i}.5" for i in range(60)]
TAKEN: list[str] = []


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few rows, and a note of which ones were told by counting."""
    monkeypatch.setattr(blocks, "BLOCK", 128)
    monkeypatch.setattr(blocks, "_FIRST", 16)
    monkeypatch.setattr(blocks, "open_bytes", lambda path, name: _pieces(path.read_bytes()))
    TAKEN.clear()
    counted = delimited._Reader._regular

    def noted(self: delimited._Reader, block: Regular) -> object:
        frame = counted(self, block)
        TAKEN.append("refused" if frame is None else "read")
        return frame

    monkeypatch.setattr(delimited._Reader, "_regular", noted)


def _pieces(text: bytes) -> Iterator[bytes]:
    yield from (text[start : start + 50] for start in range(0, len(text), 50))


def _outcome(
    path: Path, lines: list[str], *, counting: bool, monkeypatch: pytest.MonkeyPatch, fields: list[dict[str, object]]
) -> list[Row] | str:
    path.write_text("\n".join(["a,b,n", *lines]) + "\n")
    with monkeypatch.context() as patch:
        if not counting:
            patch.setattr(blocks, "may_be_regular", lambda text, dialect: False)
        try:
            return [row for frame in read_csv(path, "x.csv", contract(fields, {}), RowsAside()) for row in frame.rows()]
        except BadInput as error:
            return error.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({}, None, id="rows of one width"),
        pytest.param({30: "x,y,1,2", 31: "x,y"}, "row 31 (line 32) has 4 fields", id="one more and one fewer: as many"),
        pytest.param({0: "x,y", 1: "x,y,1,2"}, "row 1 (line 2) has 2 fields", id="the first of a block is short"),
        pytest.param({59: "x,y,1,2", 58: "x,y"}, "row 59 (line 60) has 2 fields", id="the last rows of the file"),
        pytest.param({30: "x,y"}, "row 31 (line 32) has 2 fields", id="one fewer"),
        pytest.param({30: ""}, None, id="a blank line"),
        pytest.param({30: "", 31: "x,,,,y"}, "row 31 (line 33) has 5 fields", id="a blank line and its delimiters"),
        pytest.param({30: '"x,1",y,2'}, None, id="a delimiter in quotes"),
        pytest.param({30: "x,y,1e3"}, None, id="an exponent"),
        pytest.param({30: "x,y,many"}, 'row 31, column "n" (line 32): "many" is not a float64', id="no number"),
        pytest.param({30: ",,"}, None, id="missing values"),
        pytest.param({30: "\u00e9\u00e9,y,1"}, None, id="letters of several bytes"),
    ],
)
def test_counting_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[int, str], said: str | None
) -> None:
    """What is read, or said, is the same whichever way a block goes."""
    lines = [change.get(i, line) for i, line in enumerate(ROWS)]
    outcomes = [
        _outcome(tmp_path / "x.csv", lines, counting=counting, monkeypatch=monkeypatch, fields=FIELDS)
        for counting in (False, True)
    ]
    assert outcomes[0] == outcomes[1]
    assert said is None or said in str(outcomes[1])
    assert "read" in TAKEN or 0 in change


def test_any_text_is_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of a few signs drawn at random, most of which are of no dialect."""
    chance = Random(4)
    for _ in range(60):
        drawn = "".join(chance.choices('x,\r"', (6, 3, 0.05, 0.05), k=9))
        others = ["x,y", "x,y,1,2", drawn, "", "x,,"]
        fair = ["x,y,1" if chance.random() < 0.8 else chance.choice(others) for _ in range(20)]
        outcomes = [
            _outcome(tmp_path / "x.csv", fair, counting=counting, monkeypatch=monkeypatch, fields=FIELDS)
            for counting in (False, True)
        ]
        assert outcomes[0] == outcomes[1], fair
    assert "refused" in TAKEN
    assert "read" in TAKEN


def test_a_file_of_which_columns_are_left_out_is_not_told_by_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser does not tell of rows with too many fields then."""
    lines = [*ROWS[:9], "x,y,1,2", "x,y", *ROWS[11:]]
    found = _outcome(tmp_path / "x.csv", lines, counting=True, monkeypatch=monkeypatch, fields=texts("a", "b"))
    assert "row 10 (line 11) has 4 fields" in str(found)
    assert not TAKEN
