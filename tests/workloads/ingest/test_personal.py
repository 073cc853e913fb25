"""Personal data stays among the rows: no message, no profile, whatever is wrong with a delivery."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from mlops.workloads.ingest.run import BadInput
from tests.workloads.ingest.conftest import FIELDS, Desk, a_frame, a_spec
from tests.workloads.ingest.test_captured import FIELDS as CAPTURED
from tests.workloads.ingest.test_captured import _ingest, _labels, _requests, _spec

MARK = "Braund, Mr. Owen Mark"
PERSONAL = {"pii": ["kind"]}


def _named() -> pl.DataFrame:
    return a_frame().with_columns(pl.format("{} {}", pl.lit(MARK), pl.int_range(pl.len())).alias("kind"))


def _fields(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": "kind", "type": "string"} | changes if one["name"] == "kind" else one for one in FIELDS]


DELIVERIES = [
    pytest.param(_named().write_csv(), {"fields": _fields(enum=["a", "b"])}, id="a value that is not in the enum"),
    pytest.param(_named().write_csv(), {"fields": _fields(type="float64")}, id="a value of another type"),
    pytest.param(
        _named().write_csv(),
        {"fields": _fields(), "features": [{"name": "f", "expression": "CAST(kind AS DOUBLE)"}]},
        id="a feature that cannot be computed",
    ),
    pytest.param(
        _named().write_csv(),
        {
            "fields": _fields(),
            "features": [{"name": "f", "expression": "UPPER(kind)"}, {"name": "g", "expression": "CAST(f AS BIGINT)"}],
        },
        id="a feature of a feature that cannot be computed",
    ),
    pytest.param(
        _named().write_csv(),
        {"fields": _fields(), "validation": {"rules": [{"name": "r", "expression": "CAST(kind AS DOUBLE) > 1"}]}},
        id="a rule that cannot be computed",
    ),
    pytest.param(
        _named().write_csv(),
        {"fields": _fields(), "validation": {"rules": [{"name": "r", "expression": "LENGTH(kind) < 1"}]}},
        id="a rule that is broken",
    ),
    pytest.param(
        _named().write_csv(),
        {"fields": _fields(), "clean": [{"filter": "CAST(kind AS DOUBLE) > 1"}]},
        id="a filter that cannot be computed",
    ),
    pytest.param(_named().write_csv(include_header=False), {"fields": _fields()}, id="no header"),
    pytest.param(
        _named().with_columns(pl.col("kind").alias("again")).write_csv(include_header=False),
        {"fields": _fields()},
        id="no header, and a value twice",
    ),
]


@pytest.mark.parametrize(("delivery", "changes"), DELIVERIES)
def test_no_refusal_shows_a_personal_value(
    desk: Desk, delivery: str, changes: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """It becomes a condition, an Event and a log; without pii the same refusals help by showing what is wrong."""
    desk.deliver("things/a.csv", delivery)
    _, message = desk.refusal(a_spec(governance=PERSONAL, **changes))
    assert message
    shown = message + "".join(capfd.readouterr())
    assert MARK not in shown
    assert MARK.upper() not in shown


def test_a_computed_feature_is_as_personal_as_what_it_is_computed_from(desk: Desk) -> None:
    """However far: its values are not in the profile either, and the schema says so to whoever trains."""
    desk.deliver("things/a.csv", _named().write_csv())
    features = [
        {"name": "loud", "expression": "UPPER(kind)"},
        {"name": "louder", "expression": "loud || '!'"},
        {"name": "dear", "expression": "price * 2"},
    ]
    report = desk.ingest(a_spec(governance=PERSONAL, fields=_fields(), features=features))
    profile = desk.document(report, "profile")
    assert MARK.upper() not in json.dumps(profile).upper()
    assert [one["name"] for one in profile["columns"] if one.get("masked")] == ["kind", "loud", "louder"]
    assert desk.document(report, "schema")["pii"] == ["kind", "loud", "louder"]


def test_what_is_allowed_in_models_is_handed_on(desk: Desk) -> None:
    """A feature is allowed if all the personal fields are that it is computed from."""
    desk.deliver("things/a.csv", _named().write_csv())
    features = [
        {"name": "loud", "expression": "UPPER(kind)"},
        {"name": "both", "expression": "kind || id"},
    ]
    governance = {"pii": ["kind", "id"], "piiInModels": ["kind"], "piiInCaptures": ["kind"]}
    schema = desk.document(desk.ingest(a_spec(governance=governance, fields=_fields(), features=features)), "schema")
    assert (schema["pii"], schema["piiInModels"]) == (["both", "id", "kind", "loud"], ["kind", "loud"])
    assert schema["piiInCaptures"] == ["kind"]


def test_captures_without_a_personal_field_say_where_it_is_declared(desk: Desk) -> None:
    """A model server leaves it out: no row can keep the contract, and the message says what to do."""
    _requests(desk, "date=2024-01/a.parquet", [("a", 0, 1, None), ("b", 0, 2, None)])  # type: ignore[list-item]
    _labels(desk, "date=2024-01/a.parquet", [("a", 0, "UP", 4), ("b", 0, "DOWN", 4)])
    wanted = _spec().model_copy(update={"governance": a_spec(governance={"pii": ["price"]}).governance})
    with pytest.raises(BadInput, match=r'"price" is in governance\.pii, so no row was recorded with it.*piiInCaptures'):
        _ingest(desk, wanted, day=10)
    fields = [one | {"nullable": True} if one["name"] == "price" else one for one in CAPTURED]
    nullable = a_spec(**wanted.dump() | {"fields": fields})
    assert _ingest(desk, nullable, day=10).rows == 2


@pytest.mark.parametrize(
    "governance",
    [
        pytest.param({"pii": ["kind"]}, id="pii"),
        pytest.param({"pii": ["kind"], "piiInModels": ["kind"]}, id="may stand in models"),
        pytest.param({"pii": ["kind"], "piiInCaptures": ["kind"]}, id="may stand in captures"),
        pytest.param({"pii": ["count"]}, id="another field"),
    ],
)
def test_what_is_personal_is_another_version_though_no_row_differs(desk: Desk, governance: dict[str, Any]) -> None:
    """Else the version of before would stay with its profile, and runs would take over models with its values."""
    desk.deliver("things/a.csv", a_frame().write_csv())
    others = [{}, {"pii": ["kind"]}, {"pii": ["kind"], "piiInModels": ["kind"]}]
    digest = desk.ingest(a_spec(governance=governance)).digest
    assert desk.ingest(a_spec(governance=governance)).digest == digest
    assert digest not in {desk.ingest(a_spec(governance=one)).digest for one in others if one != governance}
