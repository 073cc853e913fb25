"""A type of check is declared once, and every table knows it: one that is forgotten somewhere fails by its name."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from mlops.api.crd import crds
from mlops.api.drift_monitor import Check, CheckType, Verdict
from mlops.workloads.drift.checks import ALL, CHECKS
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.page import ADVICE

DOCS = Path(__file__).resolve().parents[3] / "docs"
TYPES: tuple[CheckType, ...] = get_args(CheckType)


def schema_of(kind: str) -> str:
    """Return a CustomResourceDefinition as text."""
    return next(str(crd) for crd in crds().values() if crd["spec"]["names"]["kind"] == kind)


@pytest.mark.parametrize("type_", TYPES)
def test_every_table_knows_the_type(type_: CheckType) -> None:
    """Schema, description, docs, report and verdict."""
    assert type_ in CHECKS, "mlops/workloads/drift/checks has no object of this type"
    assert type_ in get_args(Verdict)
    described = Check.model_fields["type"].description or ""
    assert f"{type_}:" in described, "the description of spec.checks[].type does not explain it"
    assert f"'{type_}'" in schema_of("DriftMonitor")
    assert ADVICE[type_] is CHECKS[type_].advice
    assert f"\n| {type_} |" in (DOCS / "drift.md").read_text(), "not in the table of checks in docs/drift.md"
    assert f"\n| `{type_}` |" in (DOCS / "drift-monitor.md").read_text(), "not in the verdicts of docs/drift-monitor.md"


@pytest.mark.parametrize("type_", TYPES)
def test_what_a_check_detects_is_told_in_a_sentence(type_: CheckType) -> None:
    """With the check's own message in it."""
    check = Check(name="one", type=type_)
    sentence = CHECKS[type_].sentence("seventeen rows", [Finding(check, "Detected", "seventeen rows")])
    assert "seventeen rows" in sentence
    assert sentence.endswith(".")


def test_no_object_is_without_a_type_of_the_api_and_ranks_differ() -> None:
    """A rank that two have would leave the verdict to chance."""
    assert {each.type for each in ALL} == set(TYPES)
    assert len({each.rank for each in ALL}) == len(ALL)
    assert set(ADVICE) == set(get_args(Verdict))


def test_the_page_on_drift_has_the_order_of_the_verdicts() -> None:
    """docs/drift.md, "The verdict", names the types by rank."""
    text = (DOCS / "drift.md").read_text().partition("\n## The verdict\n")[2].partition("else\n`Stable`")[0]
    assert [each.type for each in ALL] == sorted(TYPES, key=lambda type_: text.index(f"`{type_}`"))
