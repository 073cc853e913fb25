"""A declared dialect gives the rows that were written, whatever the encoding, the ends of lines and the borders."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from mlops.api.delimited import Csv
from mlops.workloads.ingest import blocks, decompress
from tests.deliveries.csv_reading import Object, Row, at_positions, outcome, read, texts

# What has made readers stumble: signs in quotes, quotes in quotes, lines in fields, blanks, empty and long ones.
_HARD = [
    ["a", "b", "c"],
    ["1", "x,y;z|t\tu", "end"],
    ["2", 'say "hi"', '""'],
    ["3", "line 1\nline 2", "line 1\r\nline 2\r\n"],
    ["4", "", " "],
    ["5", " lead", "trail "],
    ["6", "'single'", "\\back\\"],
    ["7", "# no comment", ",,,"],
    ["8", "\n", '"\n"'],
    ["9", '"', "\r,"],
    ["10", "x" * 200, "NA"],
]
_PLAIN = [["a", "b", "c"], ["1", "x", "y z"], ["2", "", "3.5"], ["", "", "z"], ["4", "é ü ß", "w"]]
_WORLD = [["a", "b", "c"], ["1", "naïve €", "ñ"], ["2", "Москва", "日本語"], ["3", "😀,\n", '"ß"']]
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "blank": " ", "unit separator": "\x1f"}
_ENDS = {"LF": "\n", "CRLF": "\r\n", "CR": "\r"}


def _written(rows: list[list[str]], **how: Any) -> str:
    """Return the rows as Python's csv writes them; with every CR and LF in quotes, which it forgets."""
    delimiter, quote = how.get("delimiter", ","), how.get("quotechar", '"')
    sink = io.StringIO(newline="")
    if how.get("quoting", csv.QUOTE_MINIMAL) == csv.QUOTE_MINIMAL and "escapechar" not in how:
        for row in rows:
            quoted = [
                f"{quote}{one.replace(quote, quote * 2)}{quote}" if set(one) & {delimiter, quote, "\r", "\n"} else one
                for one in row
            ]
            sink.write(delimiter.join(quoted) + how.get("lineterminator", "\n"))
    else:
        csv.writer(sink, **{"lineterminator": "\n", "strict": True} | how).writerows(rows)
    return sink.getvalue()


def _without_missing(rows: list[Row]) -> list[list[str]]:
    return [["" if one is None else one for one in row] for row in rows]


def _check(tmp_path: Path, data: bytes | str, dialect: Object, rows: list[list[str]]) -> None:
    read_rows = read(tmp_path / "x.csv", data, texts("a", "b", "c"), dialect)
    assert _without_missing(read_rows) == rows[1:]


@pytest.mark.parametrize("rows", [_HARD, _PLAIN, _WORLD], ids=["hard", "plain", "world"])
@pytest.mark.parametrize("end", list(_ENDS), ids=list(_ENDS))
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ids=["minimal", "all"])
@pytest.mark.parametrize("sign", list(_DELIMITERS), ids=list(_DELIMITERS))
def test_what_a_writer_wrote_is_read(tmp_path: Path, rows: list[list[str]], end: str, quoting: int, sign: str) -> None:
    """Python's csv writes it; 108 files of every delimiter, end of line and way to quote."""
    delimiter = _DELIMITERS[sign]
    text = _written(rows, delimiter=delimiter, quoting=quoting, lineterminator=_ENDS[end])
    _check(tmp_path, text, {"delimiter": delimiter}, rows)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE], ids=["minimal", "all", "none"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("doubled", [True, False], ids=["doubled", "escaped"])
def test_escapes_are_resolved(tmp_path: Path, quoting: int, delimiter: str, doubled: bool) -> None:
    """A backslash takes its meaning from what follows: a quote, a delimiter, an end of line, itself."""
    rows = [[one.replace("\r", "") for one in row] for row in _HARD]
    how = {"delimiter": delimiter, "quoting": quoting, "escapechar": "\\", "doublequote": doubled}
    dialect = {"delimiter": delimiter, "escape": "\\"} | ({"quote": ""} if quoting == csv.QUOTE_NONE else {})
    _check(tmp_path, _written(rows, **how), dialect, rows)


@pytest.mark.parametrize("quote", ["'", "`", "%"])
@pytest.mark.parametrize("end", list(_ENDS), ids=list(_ENDS))
def test_other_quotes(tmp_path: Path, quote: str, end: str) -> None:
    """Any sign of ASCII may enclose fields."""
    _check(tmp_path, _written(_HARD, quotechar=quote, lineterminator=_ENDS[end]), {"quote": quote}, _HARD)


@pytest.mark.parametrize("delimiter", ["||", "::", "¦", "<->", "日", "aba"])
@pytest.mark.parametrize("end", list(_ENDS), ids=list(_ENDS))
def test_delimiters_of_several_letters(tmp_path: Path, delimiter: str, end: str) -> None:
    """Where they overlap the first one counts; in quotes they are text."""
    rows = [["a", "b", "c"], ["1", "x|y: ", "<-"], ["2", f"in {delimiter} it", "b"], ["", "", ""]]
    text = _ENDS[end].join(delimiter.join(f'"{one}"' if delimiter in one else one for one in row) for row in rows)
    _check(tmp_path, text, {"delimiter": delimiter}, rows)


_ENCODINGS = {
    "utf-8": _WORLD, "utf-16": _WORLD, "utf-16-le": _WORLD, "utf-16-be": _WORLD, "gb18030": _WORLD,
    "latin-1": "åéîõü", "ascii": "plain", "cp1252": "€ “quoted” ž", "iso-8859-15": "€ œ", "cp1250": "źŁőš",
    "iso-8859-2": "źŁőš", "cp1251": "Москва", "koi8-r": "Москва", "koi8-u": "їжак", "iso-8859-5": "Москва",
    "cp866": "Москва", "cp1253": "Αθήνα", "iso-8859-7": "Αθήνα", "cp1254": "ğşİ", "iso-8859-9": "ğşİ",
    "cp1255": "שלום", "cp1256": "سلام", "cp1257": "ąčę", "cp437": "éñ▓", "cp850": "éñ", "mac-roman": "é∞œ",
    "shift-jis": "日本語 ソ", "cp932": "日本語 ①", "euc-jp": "日本語", "big5": "繁體", "euc-kr": "한국어",
    "cp949": "똠방각하",
}  # fmt: skip


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """Each declared encoding gives the letters that were written, in header and rows."""
    given = _ENCODINGS[encoding]
    rows = given if isinstance(given, list) else [["a", "b", "c"], ["1", given, f'{given},\n"{given}"']]
    _check(tmp_path, _written(rows).encode(encoding), {"encoding": encoding}, rows)


def test_every_encoding_of_the_contract_is_tried() -> None:
    """The table above holds them all."""
    allowed = Csv.model_json_schema()["properties"]["encoding"]["enum"]
    assert sorted(allowed) == sorted(_ENCODINGS)


@pytest.mark.parametrize("end", list(_ENDS), ids=list(_ENDS))
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("tail", ["ended", "not ended", "blank lines"])
@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd-like members"])
def test_how_it_is_ended_and_packed_does_not_matter(
    tmp_path: Path, end: str, mark: bytes, tail: str, packed: str
) -> None:
    """The same rows with and without a mark, a last end of line, blank lines behind it, in one member or several."""
    text = _written(_HARD, lineterminator=_ENDS[end])
    text = {"ended": text, "not ended": text.removesuffix(_ENDS[end]), "blank lines": text + 3 * _ENDS[end]}[tail]
    data = mark + text.encode()
    if packed == "gzip":
        data = gzip.compress(data)
    elif packed == "zstd-like members":
        data = gzip.compress(data[:37]) + gzip.compress(data[37:])
    _check(tmp_path, data, {}, _HARD)


@pytest.mark.parametrize("end", list(_ENDS), ids=list(_ENDS))
@pytest.mark.parametrize(
    ("dialect", "how"),
    [
        pytest.param({}, {}, id="plain"),
        pytest.param({"escape": "\\"}, {"escapechar": "\\", "doublequote": False}, id="escaped"),
        pytest.param({"comment": "#"}, {"quoting": csv.QUOTE_ALL}, id="comments"),
        pytest.param({"encoding": "utf-16"}, {}, id="utf-16"),
        pytest.param({"footerRows": 2, "skipRows": 3}, {}, id="footer"),
    ],
)
def test_borders_of_blocks_at_every_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, dialect: Object, how: Object
) -> None:
    """Blocks that begin to be cut at any byte, and files that are read a few bytes at a time, give the same rows."""
    rows = [*_HARD[:10], ["10", "é" * 9, "NA"]]
    if "escape" in dialect:
        # Which Python's csv does not quote there.
        rows = [[one.replace("\r", "").replace("\n", " " if end == "CR" else "\n") for one in row] for row in rows]
    content = _written(rows, lineterminator=_ENDS[end], **how)
    if "comment" in dialect:
        content = content.replace(f'{_ENDS[end]}"5"', f'{_ENDS[end]}# "odd{_ENDS[end]}"5"')
    if "skipRows" in dialect:
        content = _ENDS[end].join(['a "title', "", "2024", content + 'total "', "(c)", ""])
    data = content.encode(dialect.get("encoding", "utf-8"))
    whole = read(tmp_path / "x.csv", data, texts("a", "b", "c"), dialect)
    assert _without_missing(whole) == rows[1:]
    for size in range(1, len(data) + 2):
        monkeypatch.setattr(blocks, "BLOCK", size)
        monkeypatch.setattr(decompress, "READ", 1 + size % 7)
        monkeypatch.setattr(blocks, "_FIRST", 1 + size % 50)
        assert read(tmp_path / "x.csv", data, texts("a", "b", "c"), dialect) == whole, size


@pytest.mark.parametrize("size", [4, 1 << 20])
def test_a_byte_order_mark_within_a_file_stays_wherever_a_block_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Files put one behind the other have them: the mark is of the row's text, and a number with one is none."""
    monkeypatch.setattr(blocks, "BLOCK", size)
    monkeypatch.setattr(blocks, "_FIRST", size)
    monkeypatch.setattr(decompress, "READ", size)
    data = "\ufeffa,b\n\ufeff1,x\n2,y\n\ufeff3,z\n"
    assert read(tmp_path / "x.csv", data, texts("a", "b"), {}) == [("\ufeff1", "x"), ("2", "y"), ("\ufeff3", "z")]
    said = outcome(tmp_path / "x.csv", data, [*texts("a", type="int64"), *texts("b")], {})
    assert 'row 1, column "a" (line 2)' in str(said)


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        pytest.param('a,b;;1,"x";;2,"y";;', {"rowDelimiter": ";;"}, id="what ends a row"),
        pytest.param('a||b\n"1"||x\n"2"||"y"\n', {"delimiter": "||"}, id="a delimiter"),
        pytest.param('a,b\r\n1,"x"\r\n2,"y"\r\n', {}, id="a CRLF"),
    ],
)
def test_a_sign_behind_a_quote_may_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, dialect: Object
) -> None:
    """A row of which only a part is read is not refused for half a sign behind its last quote."""
    for size in range(1, 9):
        monkeypatch.setattr(blocks, "BLOCK", size)
        monkeypatch.setattr(blocks, "_FIRST", 1)
        monkeypatch.setattr(decompress, "READ", 1)
        assert read(tmp_path / "x.csv", content, texts("a", "b"), dialect) == [("1", "x"), ("2", "y")]


def test_a_block_of_the_real_size_may_end_in_a_quoted_field(tmp_path: Path) -> None:
    """With an odd number of quotes before the border, the last of them half of a doubled one, in a field of lines."""
    one = 'line\n""quoted""\nline, ' * 12
    count = blocks.BLOCK // len(one) + 1000
    text = "id,text,y\n" + "".join(f'{i},"{one}{i}",no\n' for i in range(count))
    rows = read(tmp_path / "x.csv", text, texts("id", "text", "y"), {})
    assert len(text) > blocks.BLOCK
    assert rows == [(str(i), (one + str(i)).replace('""', '"'), "no") for i in range(count)]


def test_a_file_without_a_header_is_read_by_position(tmp_path: Path) -> None:
    """The first row is a row."""
    assert read(tmp_path / "x.csv", "1,2\n3,4", at_positions(2), {"header": 0}) == [("1", "2"), ("3", "4")]


def test_a_header_of_several_rows_is_joined(tmp_path: Path) -> None:
    """What is empty in one of them adds nothing."""
    fields = [*texts("height", column="size m"), *texts("name", column="name")]
    rows = read(tmp_path / "x.csv", "size,name\nm,\n1,x\n", fields, {"header": 2})
    assert rows == [("1", "x")]
