"""From the text of a manifest file to plain JSON values: strict where YAML is lax, bounded where it is endless."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mlops.cli.yaml_scalars import LOOSE_BOOLEANS, NoJsonNumber, resolved

# An alias bomb is small as text and endless as data.
MAX_NODES = 20_000
_TAG = "tag:yaml.org,2002:"
# Python's limit for the digits of a whole number, which keeps the time to read one short.
_TOO_MANY_DIGITS = f"a number has more than {sys.get_int_max_str_digits()} digits"


class NotAManifest(ValueError):
    """The text cannot be read; `line` and `column` count from 1, where they are known."""

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.line, self.column = problem, line, column


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which YAML forbids and most readers silently resolve, and aliases."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.nodes = 0

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Send every plain scalar through one reading; a mapping's `<<` is YAML's own."""
        if kind is yaml.ScalarNode and implicit[0]:
            return f"{_TAG}merge" if value == "<<" else f"{_TAG}plain"
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    None, None, f"key {key!r} is not a text: put it in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise yaml.MarkedYAMLError(None, None, f"more than {MAX_NODES} values", node.start_mark)
        return super().construct_object(node, deep=deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not allowed: write the value out", mark)
        return super().compose_node(parent, index)


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    try:
        return resolved(node.value)
    except NoJsonNumber as error:
        raise yaml.MarkedYAMLError(None, None, str(error), node.start_mark) from error


_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag in [_TAG + name for name in ("str", "seq", "map")]
} | {_TAG + name: _scalar for name in ("plain", "null", "bool", "int", "float")}


@dataclass(frozen=True)
class ParsedYaml:
    """A document's value, and the line (from 1) on which each field of it stands, by its path: `spec.fields[0].name`.

    `lines` is empty where they are not known: in JSON. `words` are the booleans that are written as y, no or on.
    """

    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def _places(node: yaml.Node | None) -> tuple[dict[str, int], dict[str, str]]:
    """Return the lines of fields by their paths, and the booleans that are written as y, no or on."""
    found: dict[str, int] = {}
    words: dict[str, str] = {}
    todo = [("", node)]
    while todo:
        path, each = todo.pop()
        if isinstance(each, yaml.MappingNode):
            for key, value in each.value:
                below = f"{path}.{key.value}" if path else str(key.value)
                found[below] = key.start_mark.line + 1
                todo.append((below, value))
        elif isinstance(each, yaml.SequenceNode):
            for index, value in enumerate(each.value):
                found[f"{path}[{index}]"] = value.start_mark.line + 1
                todo.append((f"{path}[{index}]", value))
        elif isinstance(each, yaml.ScalarNode) and each.style is None and each.value in LOOSE_BOOLEANS:
            words[path] = each.value
    return found, words


def _parsed(text: str) -> Iterator[ParsedYaml]:
    loader = _Loader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            # The first line is where a document as a whole stands.
            lines, words = _places(node)
            yield ParsedYaml(loader.construct_document(node), {"": node.start_mark.line + 1} | lines, words)
    finally:
        loader.dispose()


def documents(text: str, *, is_json: bool = False) -> Iterator[ParsedYaml]:
    """Yield each document in `text`: YAML, or JSON. Raises NotAManifest."""
    if is_json or text.lstrip().startswith("{"):
        try:
            yield ParsedYaml(json.loads(text, object_pairs_hook=_no_duplicates))
            return
        except json.JSONDecodeError as error:
            if is_json:
                raise NotAManifest(f"not JSON: {error.msg}", error.lineno, error.colno) from error
        except RecursionError as error:
            raise NotAManifest("nested too deeply") from error
        except NotAManifest:
            raise
        except ValueError as error:
            raise NotAManifest(_TOO_MANY_DIGITS) from error
    try:
        yield from _parsed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = error.problem or "not YAML"
        if isinstance(error, yaml.constructor.ConstructorError) and "constructor for the tag" in problem:
            problem = f"a tag ({problem.rpartition(' ')[2]}) is not allowed: write the value"
        raise NotAManifest(problem, mark.line + 1 if mark else None, mark.column + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotAManifest(f"character #x{error.character:04x} is not allowed", line) from error
    except RecursionError as error:
        raise NotAManifest("nested too deeply") from error
    except ValueError as error:
        raise NotAManifest(_TOO_MANY_DIGITS) from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise NotAManifest(f"key {key!r} stands twice")
        seen[key] = value
    return seen
