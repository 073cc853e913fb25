"""The types refuse what the API server refuses, at the same field, and say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.api.base import earlier, format_time, parse_duration
from mlops.api.crd import crds
from mlops.api.kinds import InvalidObject, check_update, parse
from tests.api.derived import Violation, constraints, covered, violations
from tests.api.objects import VALID, Object, a_dataset
from tests.api.rejected import ALLOWED_UPDATES, RULES, UPDATES, Forbidden, Rejected

VIOLATIONS = violations()
S3 = {"s3": {"uri": "s3://raw/electricity/"}}


@pytest.mark.parametrize("manifest", [pytest.param(m, id=name) for name, m in VALID.items()])
def test_a_valid_object_is_taken_and_said_again_without_loss(manifest: Object) -> None:
    """Reading and writing an object keeps everything a user wrote."""
    parsed = parse(manifest)
    again = parse({**manifest, "spec": parsed.dump()["spec"]})
    assert again == parsed


@pytest.mark.parametrize("case", RULES)
def test_a_broken_rule_names_the_field_and_the_way_out(case: Rejected) -> None:
    """The message is the rule's own, at the field that breaks it."""
    with pytest.raises(InvalidObject) as refused:
        parse(case.manifest)
    assert any(path.startswith(case.field) and case.says in message for path, message in refused.value.causes), (
        refused.value.causes
    )


@pytest.mark.parametrize("violation", [pytest.param(v, id=name) for name, v in VIOLATIONS.items()])
def test_every_limit_of_the_schema_holds_without_an_api_server(violation: Violation) -> None:
    """What a schema forbids, the types forbid, and name the field."""
    with pytest.raises(InvalidObject) as refused:
        parse(violation.manifest)
    assert any(path.startswith(violation.field) for path, _ in refused.value.causes), refused.value.causes


def test_one_mistake_is_one_cause() -> None:
    """A list is not also "too short" because its only item is wrong."""
    manifest = a_dataset(**{"spec.fields": [{"name": "a", "type": "strin"}], "spec.split": None, "spec.source": S3})
    with pytest.raises(InvalidObject) as refused:
        parse(manifest)
    assert [path for path, _ in refused.value.causes] == ["spec.fields[0].type"]


@pytest.mark.parametrize("case", UPDATES)
def test_what_must_not_change_does_not(case: Forbidden) -> None:
    """An immutable field is refused with the way out."""
    with pytest.raises(InvalidObject, match=case.says):
        check_update(parse(case.after), parse(case.before))


@pytest.mark.parametrize(("before", "after"), ALLOWED_UPDATES)
def test_what_may_change_does(before: Object, after: Object) -> None:
    """Suspending, withdrawing and editing a template are no violations."""
    check_update(parse(after), parse(before))


def test_every_field_of_every_spec_is_in_some_valid_object() -> None:
    """So that each limit above is derived, and no field goes untried."""
    assert set(constraints()) - covered() == set()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    """A message that no case provokes could be wrong for ever."""
    said = [case.values[0].says for case in [*RULES, *UPDATES]]  # type: ignore[attr-defined]
    silent = [m for m in _messages(crds()) if not any(m.startswith(s) or s in m for s in said)]
    assert silent == []


def _messages(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {rule["message"] for rule in node.get("x-kubernetes-validations", ())}
        return own.union(*(_messages(child) for key, child in node.items() if key != "status"))
    if isinstance(node, list):
        return set().union(*(_messages(child) for child in node))
    return set()


@pytest.mark.parametrize("duration", ["0s", "1d", "9999d", "999999d", "999999d999999d999999d999999d"])
def test_a_window_of_any_length_begins_within_the_calendar(duration: str) -> None:
    """999999d is how people say "all": 2737 years before any day there is."""
    first = datetime.min.replace(tzinfo=UTC)
    for end in (first, datetime(2026, 1, 31, 12, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        start = earlier(end, parse_duration(duration))
        assert start in (first, end - min(parse_duration(duration), end - first))
        assert format_time(start).endswith("Z")


def _asked(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield each `has(...)` of the rules of a schema, with the schema of the field that it asks for."""
    for rule in schema.get("x-kubernetes-validations", ()):
        items = {name: field for field, name in re.findall(r"self\.(\w+)\.(?:filter|exists|all)\((\w+),", rule["rule"])}
        for start, path in re.findall(r"has\((\w+)\.([\w.]+)\)", rule["rule"]):
            found = schema
            if start in items:
                found = found["properties"][items[start]]["items"]
            for name in path.split("."):
                found = found["properties"][name]
            yield rule["rule"], found
    for part in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from _asked(part)


@pytest.mark.parametrize("name", crds())
def test_no_rule_asks_whether_a_field_is_there_that_has_a_default(name: str) -> None:
    """The API server sets defaults before it judges rules: a rule that repeats one says it in a second place."""
    (version,) = crds()[name]["spec"]["versions"]
    asked = list(_asked(version["schema"]["openAPIV3Schema"]["properties"]["spec"]))
    assert asked, "the walk finds rules"
    assert [rule for rule, field in asked if "default" in field] == []


def _read(schema: Any, place: str = "spec") -> Iterator[tuple[str, str]]:
    """Yield each optional field without a default that a rule reads and does not ask for, with the rule."""
    for rule in schema.get("x-kubernetes-validations", ()):
        text = re.sub(r"'[^']*'", "''", rule["rule"])
        items = {name: field for field, name in re.findall(r"self\.(\w+)\.(?:filter|exists|all)\((\w+),", text)}
        asked = set(re.findall(r"has\((\w+\.\w+)\)", text))
        for start, name in re.findall(r"\b(\w+)\.(\w+)\b(?!\()", text):
            found = schema["properties"][items[start]]["items"] if start in items else schema
            field = found.get("properties", {}).get(name)
            known = field is None or name in found.get("required", ()) or "default" in field
            if (start == "self" or start in items) and not known and f"{start}.{name}" not in asked:
                yield f"{place}: {start}.{name}", rule["rule"]
    for name, part in schema.get("properties", {}).items():
        yield from _read(part, f"{place}.{name}")
    if "items" in schema:
        yield from _read(schema["items"], f"{place}[]")


@pytest.mark.parametrize("name", crds())
def test_every_rule_asks_whether_a_field_is_there_that_may_be_absent(name: str) -> None:
    """Also of a field with a default in an item of a list: there the API server sets none."""
    (version,) = crds()[name]["spec"]["versions"]
    assert list(_read(version["schema"]["openAPIV3Schema"]["properties"]["spec"])) == []


def _defaults_in_items(schema: Any, place: str = "spec") -> Iterator[str]:
    if "default" in schema and "[]" in place:
        yield place
    for name, part in schema.get("properties", {}).items():
        yield from _defaults_in_items(part, f"{place}.{name}")
    if "items" in schema:
        yield from _defaults_in_items(schema["items"], f"{place}[]")


@pytest.mark.parametrize("name", crds())
def test_no_item_of_a_list_has_a_default_of_the_api_server_s(name: str) -> None:
    """kubectl compares lists whole: it said "configured" of what was applied before."""
    (version,) = crds()[name]["spec"]["versions"]
    assert list(_defaults_in_items(version["schema"]["openAPIV3Schema"]["properties"]["spec"])) == []
