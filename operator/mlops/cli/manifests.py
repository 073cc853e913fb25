"""Reading manifests as `kubectl apply -f` does: files, folders, `-`; errors name the file, the line and the field."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops.api.kinds import InvalidObject, parse
from mlops.cli.errors import UserError

SUFFIXES = (".yaml", ".yml", ".json")
# An alias bomb is small as text and endless as data.
MAX_NODES = 200_000
MAX_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True)
class Document:
    """One manifest and where it stands."""

    manifest: dict[str, Any]
    place: str


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which YAML forbids and most readers silently resolve, and alias bombs."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.nodes = 0

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(None, None, f"key {key!r} is not a text", key_node.start_mark)
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


# A moment stays a text, as in the JSON that Kubernetes sees.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(paths: Iterable[str]) -> list[Document]:
    """Return the manifests under `paths`, checked. Raises UserError that lists every wrong field of every document."""
    documents = [document for path in paths for document in _documents(path)]
    if not documents:
        raise UserError(f"no manifest in {', '.join(paths)}: files end in {', '.join(SUFFIXES)}")
    mistakes: list[str] = []
    for document in documents:
        try:
            parse(document.manifest)
        except InvalidObject as error:
            mistakes.append(f"{document.place}: {error}")
    if mistakes:
        raise UserError("\n".join(mistakes))
    return documents


def _documents(path: str) -> Iterator[Document]:
    for name, text in _texts(path):
        try:
            for index, manifest in enumerate(yaml.load_all(text, Loader=_Loader)):
                if manifest is None:
                    continue
                if not isinstance(manifest, dict):
                    raise UserError(f"{name}: document {index + 1} is no object")
                yield Document(manifest, name)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
            raise UserError(f"{place}: {error.problem or 'not YAML'}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{name}: not YAML: {error}") from error


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "standard input", sys.stdin.read(MAX_BYTES)
        return
    place = Path(path)
    if not place.exists():
        raise UserError(f"{path}: there is no such file or folder")
    files = sorted(p for p in place.iterdir() if p.suffix in SUFFIXES) if place.is_dir() else [place]
    for file in files:
        if file.stat().st_size > MAX_BYTES:
            raise UserError(f"{file}: larger than {MAX_BYTES} bytes: a manifest holds no data")
        try:
            yield str(file), file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{file}: not UTF-8 at byte {error.start}: save it as UTF-8") from error
