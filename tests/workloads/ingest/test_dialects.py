"""A delivery in any dialect is the same version; what is put aside, dropped or kept adds up to what was delivered."""

from __future__ import annotations

import csv
import io
from random import Random
from typing import Any

import polars as pl
import pytest

from mlops.workloads.floor.pod import BadInput
from tests.deliveries.csv_reading import letter_by_letter
from tests.workloads.ingest.conftest import FIELDS, Desk, a_frame, a_spec, fields_with

_SEMICOLONS = {"delimiter": ";", "decimal": ",", "thousands": ".", "encoding": "cp1252", "nullValues": ["k. A."],
               "trueValues": ["ja"], "falseValues": ["nein"]}  # fmt: skip


def _rewritten(frame: pl.DataFrame) -> str:
    """Return the rows as a German spreadsheet would write them."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=";", lineterminator="\r\n")
    writer.writerow(["Id", "Zeit", "Preis (€)", "Anzahl", "Art", "offen", "Klasse"])
    for one in frame.iter_rows(named=True):
        day, clock = one["time"][:10], one["time"][11:16]
        price = f"{one['price']:.2f} €".replace(".", ",")
        count = "k. A." if one["count"] is None else f"{one['count']}"
        kind = "k. A." if one["kind"] is None else one["kind"]
        time = f"{day[8:]}.{day[5:7]}.{day[:4]} {clock}"
        writer.writerow([one["id"], time, price, count, kind, "ja" if one["open"] else "nein", one["class"]])
    return sink.getvalue()


def _fields() -> list[dict[str, Any]]:
    changes: dict[str, dict[str, Any]] = {
        "id": {"column": "Id"},
        "time": {"column": "Zeit", "formats": ["%d.%m.%Y %H:%M"], "timeZone": "UTC"},
        "price": {"column": "Preis (€)", "symbols": ["€"]},
        "count": {"position": 4},
        "kind": {"column": "Art"},
        "open": {"column": "offen"},
        "class": {"column": "Klasse"},
    }
    return [one | changes[one["name"]] for one in FIELDS]


def test_a_dialect_does_not_show_in_the_content(desk: Desk) -> None:
    """Names, signs, encoding, ends of lines and forms of dates are how it was delivered, not what."""
    frame = a_frame()
    desk.deliver("things/a.csv", frame.write_csv())
    plain = desk.ingest()
    desk.clear()
    desk.deliver("things/a.csv", _rewritten(frame).encode("cp1252"))
    spec = a_spec(fields=_fields(), csv=_SEMICOLONS)
    assert desk.ingest(spec).digest == plain.digest


def test_ragged_rows_are_put_aside_with_their_text(desk: Desk) -> None:
    """They count as bad rows, in the result and for the share that may be bad."""
    header, *rows = a_frame().write_csv().splitlines()
    rows[3] += ",more"
    rows[7] = 'r0007,"a\nb"'
    desk.deliver("things/a.csv", "\n".join([header, *rows]))
    aside = {"onFailure": "Quarantine", "maxQuarantinedPercent": 5}
    report = desk.ingest(a_spec(csv={"ragged": "Quarantine"}, validation=aside))
    assert (report.rows, report.validation.quarantined_rows) == (38, 2)
    assert report.validation.failed_rules == ("rows with another number of fields: 2 rows",)
    assert desk.frame(report, "rejected").rows() == [
        ("s3://raw/things/a.csv", 4, 5, "has 8 fields, the header has 7", rows[3]),
        ("s3://raw/things/a.csv", 8, 9, "has 2 fields, the header has 7", rows[7]),
    ]
    few = aside | {"maxQuarantinedPercent": 4}
    spec = a_spec(csv={"ragged": "Quarantine"}, validation=few)
    with pytest.raises(Exception, match="2 of 40 rows break 1 rule: rows with another number of fields: 2 rows"):
        desk.ingest(spec)


def test_rows_with_a_value_that_cannot_be_read_are_put_aside(desk: Desk) -> None:
    """Once, however many of their values are bad; the first of each column with its way out."""
    header, *rows = a_frame().write_csv().splitlines()
    rows[3] = rows[3].replace("0.75", "0;75")
    rows[7] = rows[7].replace("5.75", "cheap").replace("2024-01-08", "08.01.2024")
    desk.deliver("things/a.csv", "\n".join([header, *rows]))
    report = desk.ingest(a_spec(validation={"onFailure": "Quarantine", "maxQuarantinedPercent": 5}))
    assert (report.rows, report.validation.quarantined_rows) == (38, 2)
    rejected = desk.frame(report, "rejected").sort("row")
    assert rejected["row"].to_list() == [4, 8]
    assert rejected["text"].to_list() == [rows[3], rows[7]]
    reason, message = desk_refusal(desk, {"onFailure": "Quarantine", "maxQuarantinedPercent": 4})
    assert reason == "Rejected"
    assert (
        "2 of 40 rows break 1 rule: values that are not of their type: 2 rows; s3://raw/things/a.csv: row " in message
    )
    assert 'row 8 (line 9): column "time": "08.01.2024T' in message


def desk_refusal(desk: Desk, validation: dict[str, Any]) -> tuple[str, str]:
    """Return reason and message of a refusal beside a version that is in the store."""
    with pytest.raises(BadInput) as caught:
        desk.ingest(a_spec(validation=validation))
    return str(caught.value.reason), caught.value.message


def test_what_is_delivered_is_kept_put_aside_or_dropped_by_a_step(desk: Desk) -> None:
    """40 deliveries with ragged, blank, bad and filtered rows; counted letter by letter beside the product."""
    random = Random(5)
    spec = a_spec(
        csv={"ragged": "Quarantine"},
        fields=fields_with("price", max="30"),
        clean=[{"filter": "count IS NULL OR count > 2"}],
        validation={"onFailure": "Quarantine", "maxQuarantinedPercent": 100},
    )
    for _ in range(40):
        header, *rows = a_frame().write_csv().splitlines()
        for at in range(len(rows)):
            rows[at] += random.choice(("", "", "", ",", "\n", ',"x\ny"'))
        text = "\n".join([header, *rows])
        delivered = letter_by_letter(text)[1:]
        whole = [row for row in delivered if len(row) == len(FIELDS)]
        dropped = sum(row[3] != "" and int(row[3]) <= 2 for row in whole)
        too_dear = sum(float(row[2]) > 30 and not (row[3] and int(row[3]) <= 2) for row in whole)
        desk.deliver("things/a.csv", text)
        report = desk.ingest(spec)
        aside = len(delivered) - len(whole) + too_dear
        assert report.validation.quarantined_rows == aside
        assert report.rows + aside + dropped == len(delivered) == 40
