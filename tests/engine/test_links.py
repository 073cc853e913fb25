"""What a plan reads, who is woken and what is indexed follow from the same declaration."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from bench.reconcile_cost import World
from mlops.api.kinds import KINDS
from mlops.engine import links, over
from mlops.engine.links import LINKS, NAME, Link
from mlops.engine.routes import keys_of, linked
from mlops.planning.plan import Key, Manifest

ENGINE = Path(links.__file__).parent
VALUE = "rain"


def an_object(kind: str, name: str, field: str, value: str) -> Manifest:
    """Return an object in whose field the value stands."""
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "team", "labels": {}},
        "spec": {"modelName": "sun"},
        "status": {},
    }
    path = field.removeprefix(over.UNFINISHED).removeprefix(over.UNSETTLED)
    if path == NAME:
        manifest["metadata"]["name"] = value
    elif path.startswith(over.LABEL):
        manifest["metadata"]["labels"] = {path.removeprefix(over.LABEL): value}
    elif path in DERIVED:
        return {**manifest, **DERIVED[path]}
    else:
        place: Any = manifest
        *parents, last = path.split(".")
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return manifest


# Of a derived field: what an object has whose value is VALUE.
DERIVED: dict[str, Manifest] = {
    over.WITHDRAWN_OF_MODEL: {"spec": {"modelName": VALUE, "withdrawn": True}},
    over.RETAINS: {"metadata": {"name": VALUE, "namespace": "team"}, "spec": {"retention": {"keepVersions": 1}}},
    over.LABELLED_BY: {"spec": {"labels": {"sources": [{"feedback": {}}, {"datasetRef": {"name": VALUE}}]}}},
    over.WAITS_FOR_REFRESH: {"spec": {"datasetRef": {"name": VALUE, "notBefore": "2026-01-01T00:00:00Z"}}},
}


def the_links(*, waking: bool) -> list[Any]:
    """Return the links as parameters, named for whoever reads a failure."""
    return [
        pytest.param(link, id=f"{link.planned} reads {link.read} by {link.at}")
        for link in LINKS
        if (link.wakes or not waking) and (link.at in DERIVED or not link.at.startswith("derived."))
    ]


@pytest.mark.parametrize("link", the_links(waking=False))
def test_what_is_linked_is_read(link: Link) -> None:
    """Also from the operator's memory, which looks up what `FIELDS` and the labels of children say."""
    world = World()
    wanted = world.put(an_object(link.read, "read", link.at, VALUE))
    world.put(an_object(link.read, "another", link.at if link.at not in DERIVED else "spec.x", "snow"))
    found = linked(link, "team", VALUE, world.memory)
    assert [each["metadata"]["name"] for each in found] == [wanted["metadata"]["name"]]
    assert not linked(link, "elsewhere", VALUE, world.memory)


@pytest.mark.parametrize("link", the_links(waking=True))
def test_who_reads_it_is_woken(link: Link) -> None:
    world = World()
    read = an_object(link.read, "read", link.at, VALUE)
    if link.by == NAME:
        assert Key(link.planned, "team", VALUE) in keys_of(read, world.memory)
        return
    reader = world.put(an_object(link.held_by, "reader", link.by, VALUE))["metadata"]["name"]
    woken = Key("Model", "team", "sun") if link.planned == "Model" else Key(link.planned, "team", reader)
    assert woken in keys_of(read, world.memory)
    others = keys_of(an_object(link.read, "another", link.at, "snow"), world.memory)
    assert woken not in others


def test_what_is_over_is_not_woken_by_what_it_has_read() -> None:
    world = World()
    for link in (each for each in LINKS if each.unfinished):
        run = an_object("TrainingRun", "over", link.by, VALUE)
        ready = {"type": "Ready", "status": "True", "reason": "Succeeded"}
        world.put({**run, "status": {**run.get("status", {}), "conditions": [ready]}})
        read = an_object(link.read, "read", link.at, VALUE)
        assert Key("TrainingRun", "team", "over") not in keys_of(read, world.memory)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in sorted(ENGINE.glob("*.py"))])
def test_nothing_is_looked_up_but_by_a_link(file: Path) -> None:
    """Whoever reads an object by a field without a link is not woken when it changes."""
    calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    asked = [each.attr for each in calls if isinstance(each, ast.Attribute) and each.attr == "by_field"]
    assert not asked or file.name == "routes.py"


def test_links_are_between_known_kinds() -> None:
    for link in LINKS:
        assert link.planned in {*KINDS, "Model"}
        assert link.read in {*KINDS, "Job"}
        assert link.held_by in KINDS or link.by == NAME
