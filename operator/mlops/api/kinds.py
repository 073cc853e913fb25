"""The four kinds in one table, and reading them from manifests with errors that name the field and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from mlops.api.base import API_VERSION, MAX_NAME, TEXT_RULES, Model, Resource, Rule
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.metadata import mistakes_in
from mlops.api.mistakes.mistake import listed
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun

KINDS: dict[str, type[Dataset] | type[TrainingRun] | type[ModelVersion] | type[DriftMonitor]] = {
    "Dataset": Dataset,
    "TrainingRun": TrainingRun,
    "ModelVersion": ModelVersion,
    "DriftMonitor": DriftMonitor,
}

NAME_RULE = Rule(
    f"self.metadata.name.size() <= {MAX_NAME}",
    f"metadata.name must have at most {MAX_NAME} characters: names of Jobs and labels are derived from it",
    lambda self: len(self.metadata.name) <= MAX_NAME,
)
# What Kubernetes allows in a name and no reference of ours: a status that names such an object would be refused.
DOT_RULE = Rule(
    "!self.metadata.name.contains('.')",
    "metadata.name must have no dot: other objects could not name it",
    lambda self: "." not in self.metadata.name,
)
NAME_RULES = (NAME_RULE, DOT_RULE)


class InvalidObject(ValueError):
    """A manifest that the API server would refuse; `causes` are (field path, message) pairs."""

    def __init__(self, kind: str, name: str, causes: list[tuple[str, str]]) -> None:
        self.kind, self.name, self.causes = kind, name, causes
        said = [f"{path}: {message}" if path else message for path, message in causes]
        # Several stand one below the other: on one line nobody finds the third.
        shown = said[0] if len(said) == 1 else f"\n{listed(said)}"
        super().__init__(f'{kind} "{name}" is invalid: {shown}')


def parse_written(manifest: dict[str, Any]) -> Resource:
    """Return the typed object of a manifest that a user wrote: also of its metadata nothing may be wrong."""
    mistakes = mistakes_in(manifest.get("metadata"))
    try:
        parsed = parse(manifest)
    except InvalidObject as error:
        if not mistakes:
            raise
        raise InvalidObject(error.kind, error.name, [*mistakes, *error.causes]) from error
    if mistakes:
        raise InvalidObject(parsed.kind, parsed.metadata.name, mistakes)
    return parsed


def parse(manifest: dict[str, Any]) -> Resource:
    """Return the typed object of a manifest (status included, if there is one).

    Raises InvalidObject with every field that is wrong, its value and what is allowed.
    """
    kind = str(manifest.get("kind"))
    metadata = manifest.get("metadata")
    name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
    if manifest.get("apiVersion") != API_VERSION or kind not in KINDS:
        raise InvalidObject(
            kind,
            name,
            [("", f"{_kind_shown(manifest)} is not one of {API_VERSION} {', '.join(KINDS)}")],
        )
    try:
        parsed = KINDS[kind].model_validate(manifest)
    except ValidationError as error:
        raise InvalidObject(kind, name, [_cause(detail) for detail in _own(error.errors())]) from error
    if broken := [("metadata.name", rule.message) for rule in NAME_RULES if not rule.check(parsed)]:
        raise InvalidObject(kind, name, broken)
    return parsed


def _kind_shown(manifest: dict[str, Any]) -> str:
    kind, version = manifest.get("kind") or "an object without a kind", manifest.get("apiVersion")
    return f"{version}/{kind}" if version else f"{kind} without an apiVersion"


def check_update(new: Resource, old: Resource) -> None:
    """Raise InvalidObject if the change from `old` to `new` breaks a transition rule (an immutable field)."""
    new_spec, old_spec = new.spec, old.spec  # type: ignore[attr-defined]
    causes = [
        ("spec", rule.message) for rule in new_spec.rules if rule.transition and not rule.check(new_spec, old_spec)
    ]
    if causes:
        raise InvalidObject(new.kind, new.metadata.name, causes)


def _own(details: list[Any]) -> list[Any]:
    """Leave out what only follows from another mistake: a list is not too short because an item of it is wrong."""
    places = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(len(place) > len(detail["loc"]) and place[: len(detail["loc"])] == detail["loc"] for place in places)
    ]


LONGEST_SHOWN = 100
# What pydantic calls by the names of Python's types.
_WANTED = {
    "bool": "must be true or false",
    "int": "must be a whole number, without quotation marks",
    "string": "must be a text: write it in quotation marks",
    "tuple": "must be a list",
    "list": "must be a list",
    "dict": "must be an object",
    "model": "must be an object",
    "text": "must be a whole number, without quotation marks",
}


def _cause(detail: Any) -> tuple[str, str]:
    path = "".join(_segments(detail["loc"]))
    kind, context = detail["type"], detail.get("ctx", {})
    shown = _shown(detail.get("input"))
    match kind:
        case "extra_forbidden":
            return path, "unknown field"
        case "missing":
            return path, "Required value"
        case "duplicate":
            return f"{path}.{context['place']}", f"Duplicate value: {context['value']!r}"
        case "literal_error":
            return path, f"Unsupported value: {shown}: supported values: {context['expected']}"
        case "string_pattern_mismatch":
            rules = TEXT_RULES.get(context["pattern"], ())
            broken = [rule.message for rule in rules if not rule.check(str(detail.get("input")))]
            return path, f"Invalid value: {shown}: {'; '.join(broken) or 'should match ' + context['pattern']}"
        case "rule":
            return path, str(context["message"])
        case "greater_than_equal":
            return path, f"Invalid value: {shown}: must be at least {context['ge']}"
        case "less_than_equal":
            return path, f"Invalid value: {shown}: must be at most {context['le']}"
        case "string_too_long":
            return path, f"Too long: must have at most {context['max_length']} characters"
        case "too_long":
            return path, f"Too many: must have at most {context['max_length']} items"
        case "too_short":
            least = context["min_length"]
            return path, f"Too few: must have at least {least} item{'s' if least > 1 else ''}"
    wanted = _WANTED.get(kind.partition("_")[0], detail["msg"])
    return path, f"Invalid value: {shown}: {wanted}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    return "list" if isinstance(value, list | tuple) else "object"


def _segments(location: tuple[Any, ...]) -> Iterator[str]:
    if location and location[-1] == "[key]":
        # A map's key is wrong, not what stands under it.
        location = location[:-2]
    for index, part in enumerate(location):
        if isinstance(part, int):
            yield f"[{part}]"
        else:
            yield f".{part}" if index else str(part)


def models_of(kind: type[Model]) -> Iterator[type[Model]]:
    """Yield `kind` and every model reachable from its fields, each once."""
    seen: set[type[Model]] = set()
    todo: list[Any] = [kind]
    while todo:
        item = todo.pop()
        if isinstance(item, type) and issubclass(item, Model):
            if item not in seen:
                seen.add(item)
                yield item
                todo.extend(field.annotation for field in item.model_fields.values())
        else:
            todo.extend(getattr(item, "__args__", ()))
