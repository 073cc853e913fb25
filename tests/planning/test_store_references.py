"""What of the store is needed, of objects and of the record of a model."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops.planning.history_entries import FILE, segment_name, written
from mlops.planning.store_references import CapturedModel, needed

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def an_object(kind: str, **parts: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "a", "namespace": "team"}, **parts}


def a_line(event: str, days_ago: int, uid: str, letter: str = "", **more: Any) -> str:
    at = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    artifact = {"artifact": digest(letter)} if letter else {}
    return written({"time": at, "event": event, "version": f"m-{uid}", "number": 1, "uid": uid, **artifact, **more})


def a_record(*lines: str, number: int = 0, model: str = "m") -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": "history", "mlops.dev/model": model}
    metadata = {"name": segment_name(model, number), "namespace": "team", "labels": labels}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {FILE: "".join(f"{line}\n" for line in lines)}}


def test_a_digest_is_needed_wherever_it_stands() -> None:
    """Also in a text within a text, as the task of a Job is."""
    task = json.dumps({"artifact": digest("4")})
    objects = [
        an_object("ModelVersion", spec={"modelName": "m", "artifact": {"digest": digest("1")}}),
        an_object("TrainingRun", status={"outputDigest": digest("2")}),
        an_object("Dataset", metadata={"name": "d", "annotations": {"pinned": f"see {digest('3')}"}}),
        an_object("Job", spec={"template": {"env": [{"name": "MLOPS_TASK", "value": task}]}}),
        an_object("ConfigMap", data={"notes": digest("5")}),
    ]
    assert needed(objects, NOW).artifacts == {digest(letter) for letter in "12345"}


def test_models_are_needed_that_anything_names() -> None:
    objects = [
        an_object("ModelVersion", spec={"modelName": "served"}),
        an_object("Dataset", spec={"source": {"captured": {"modelName": "captured"}}}),
        an_object("DriftMonitor", spec={"targetRef": {"modelName": "watched"}}),
        an_object("TrainingRun", spec={"register": {"modelName": "made"}}),
        an_object("TrainingRun", spec={"list": [{"modelName": "listed"}]}),
    ]
    names = ("served", "captured", "watched", "made", "listed")
    assert needed(objects, NOW).models == {CapturedModel("team", name) for name in names}


def test_of_a_record_what_happened_of_late_is_needed() -> None:
    """A version that left lately was there all the time before, in whichever part of the record that stands."""
    parts = [
        a_record(a_line("Registered", 300, "old", "1"), a_line("Registered", 299, "late", "2"), "no entry"),
        a_record(a_line("Left", 200, "old", "1", stage="production"), number=1),
        a_record(a_line("Left", 90, "late", stage="production"), number=2),
    ]
    found = needed(parts, NOW - timedelta(days=91))
    assert found.artifacts == {digest("2")}
    assert needed(parts, NOW - timedelta(days=90)).artifacts == set()
    assert needed(parts, NOW - timedelta(days=201)).artifacts == {digest("1"), digest("2")}


def test_a_line_that_nobody_can_read_keeps_what_it_names() -> None:
    """It may be of a newer release."""
    found = needed([a_record(f"of another release {digest('7')}")], NOW)
    assert (found.artifacts, found.models) == ({digest("7")}, {CapturedModel("team", "m")})


def test_a_record_of_old_keeps_no_captures() -> None:
    record = a_record(a_line("Registered", 300, "old", "1"))
    assert needed([record], NOW - timedelta(days=10)).models == set()
    assert needed([record], NOW - timedelta(days=301)).models == {CapturedModel("team", "m")}
    assert needed([], NOW) == (frozenset(), frozenset())
