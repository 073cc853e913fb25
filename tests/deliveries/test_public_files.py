"""Files as the world exports them: `mlops init` alone reads them right or asks; by hand the reader reads each."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mlops.api.dataset import DatasetSpec
from mlops.cli.errors import UserError
from mlops.cli.init.deciding import decided
from mlops.cli.init.delivery import files_of, opened
from mlops.cli.init.options import InitOptions
from mlops.cli.init.proving import proved, spec_of
from mlops.cli.init.reading import profiled
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered

Object = dict[str, Any]
FILES: dict[str, Object] = yaml.safe_load((Path(__file__).parent / "public_files.yaml").read_text(encoding="utf-8"))
TYPES = {"s": "string", "i": "int64", "f": "float64", "t": "timestamp", "n": "string"}
SOURCE = {"s3": {"uri": "s3://raw/x/x.csv"}}


def written(file: Object, folder: Path) -> Path:
    """The file on the disk."""
    path = folder / "x.csv"
    path.write_bytes(file["text"].encode(file.get("encoding", "utf-8")))
    return path


def rows_of(path: Path, spec: Object) -> list[tuple[Any, ...]]:
    """What the product's reader reads by this contract."""
    parsed = DatasetSpec.model_validate(spec)
    frames = delivered_rows(Delivered(path.name, path), parsed, contract_of(parsed), None, RowsAside())
    return pl.concat(list(frames)).rows()


def by_init(path: Path, folder: Path, **said: Any) -> list[tuple[Any, ...]]:
    """What is read by the contract that init found. Raises UserError."""
    options = InitOptions(files=(str(path),), **said)
    profile = profiled(opened(files_of(options.files), options, folder))
    found = decided(profile, options)
    proved(profile, found, SOURCE)
    fields = [guess.spec | {"nullable": True} for guess in found.guesses]
    return rows_of(path, spec_of(profile.delivery, found, SOURCE) | {"fields": fields})


def by_hand(file: Object) -> Object:
    """The contract that somebody writes who knows the file."""
    fields = []
    for at, letter in enumerate(file["types"]):
        field: Object = {"name": f"c{at}", "position": at + 1, "type": TYPES[letter], "nullable": True}
        if letter == "t" and "at" in file:
            field["formats"] = [file["at"]]
        if letter in "if" and "symbols" in file:
            field["symbols"] = file["symbols"]
        is_text = letter == "s" and file["first"][at] is not None and file["last"][at] is not None
        if "nullValues" in file and not is_text:
            field["nullValues"] = file["nullValues"]
        fields.append(field)
    return {"source": SOURCE, "format": "csv", "csv": file["csv"], "fields": fields}


def is_the_same(want: Any, got: Any) -> bool:
    """Whether a value is the wanted one, type and all."""
    if isinstance(got, datetime):
        return bool(datetime.fromisoformat(want) == got)
    if isinstance(got, float):
        return math.isclose(want, got)
    return type(want) is type(got) and want == got


def check(file: Object, rows: list[tuple[Any, ...]]) -> None:
    """Every row is there, and the first and the last hold what they should."""
    assert len(rows) == file["rows"]
    for wanted, row in ((file["first"], rows[0]), (file["last"], rows[-1])):
        assert len(row) == len(wanted)
        assert [got for want, got in zip(wanted, row, strict=True) if not is_the_same(want, got)] == []


@pytest.mark.parametrize("name", FILES)
def test_init_alone_reads_it_or_asks(name: str, tmp_path: Path) -> None:
    """No row lost, no title for a row, every value of its type; what the file leaves open is asked for."""
    file = FILES[name]
    path, said = written(file, tmp_path), file.get("said", {})
    if "refused" not in file:
        check(file, by_init(path, tmp_path, **said))
        return
    with pytest.raises(UserError) as caught:
        by_init(path, tmp_path, **said)
    assert file["refused"] in caught.value.message
    if "with" in file:
        check(file, by_init(path, tmp_path, **said, **file["with"]))


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if "csv" in file])
def test_by_hand_it_is_read(name: str, tmp_path: Path) -> None:
    """The reader reads every one of them by a contract."""
    file = FILES[name]
    check(file, rows_of(written(file, tmp_path), by_hand(file)))


ASKED = {
    "Cyrillic that is no Latin": (
        "Дата;Город\r\n01.02.2026;Москва\r\n02.02.2026;Казань\r\n".encode("cp1251"), {}, "cp1251 ('Дата;Город')"),
    "Polish that is no Western language": (
        "Miasto,Liczba\nŁódź,5\nPoznań,6\n".encode("cp1250"), {}, "cp1250 ('Łódź,5')"),
    "Japanese that is no Latin": ("日付,天気\n2026/1/1,晴\n".encode("cp932"), {}, "--encoding"),
    "a PDF": (b"%PDF-1.7\n1 0 obj\n", {}, "is a PDF"),
    "an old workbook": (b"\xd0\xcf\x11\xe0" + bytes(600), {}, "save it as .xlsx"),
    "a text in the first row of the only numbers": ("town,n\nx,none yet\ny,3.5\nz,2\n", {}, "say it by --header"),
    "quotes by another word": ("a,b\n1,2\n", {"quote": "`"}, "--quote '`'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said", "says"), [pytest.param(*one, id=name) for name, one in ASKED.items()])
def test_what_is_not_sure_is_asked_for(content: bytes | str, said: Object, says: str, tmp_path: Path) -> None:
    """The message names an option that settles it."""
    path = tmp_path / "x.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        by_init(path, tmp_path, **said)
    assert says in caught.value.message


def test_the_encoding_that_is_named_settles_it(tmp_path: Path) -> None:
    """What the message lists is what can be said."""
    path = tmp_path / "x.csv"
    path.write_bytes("Miasto,Liczba\nŁódź,5\nPoznań,6\n".encode("cp1250"))
    assert by_init(path, tmp_path, encoding="cp1250") == [("Łódź", 5), ("Poznań", 6)]


def test_west_european_text_needs_no_word(tmp_path: Path) -> None:
    """French and German with many accents are cp1252 without a question."""
    path = tmp_path / "x.csv"
    path.write_bytes("Région;Tempête;n\nÎle-d’Œuvre;été à l’hôtel;5\nGrößenwahn;§ 5 über Öl;6\n".encode("cp1252"))
    assert by_init(path, tmp_path)[0] == ("Île-d’Œuvre", "été à l’hôtel", 5)


def test_files_of_several_encodings_are_told(tmp_path: Path) -> None:
    """Neither is taken for the other; a file of ASCII goes with any."""
    for name, content in (("a", "é,n\nà,1\n".encode()), ("b", "é,n\nà,2\n".encode("cp1252")), ("c", b"x,n\ny,3\n")):
        (tmp_path / f"{name}.csv").write_bytes(content)
    both = InitOptions(files=(str(tmp_path / "a.csv"), str(tmp_path / "b.csv")))
    with pytest.raises(UserError, match=r"several encodings \(cp1252, utf-8\)"):
        opened(files_of(both.files), both, tmp_path)
    ascii_too = InitOptions(files=(str(tmp_path / "b.csv"), str(tmp_path / "c.csv")))
    deliveries = list(opened(files_of(ascii_too.files), ascii_too, tmp_path))
    assert {str(one.csv.encoding) for one in deliveries if one.csv} == {"cp1252"}
