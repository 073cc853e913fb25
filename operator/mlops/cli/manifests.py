"""Reading manifests as `kubectl apply -f` does: files, folders, `-`; errors name the file, the line and the field."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mlops.api.base import GROUP, Resource
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.kinds import KINDS, InvalidObject, parse_written
from mlops.api.mistakes.mistake import listed
from mlops.api.model_version import ModelVersion, Stage
from mlops.api.training_run import TrainingRun
from mlops.cli.errors import UserError
from mlops.cli.mistakes import of_all
from mlops.cli.secrets import Name, Values, name_of, secrets_of
from mlops.cli.yaml_text import NotAManifest, documents

SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 3 * 1024 * 1024
_Known = TypeVar("_Known")
_KINDS_OF_VALUES = {str: "text", list: "list", int: "number", float: "number", bool: "boolean"}
# What a cluster writes into an object: `mlops get -o yaml` shows it, and its output is a manifest again.
_WRITTEN_BY_THE_CLUSTER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


@dataclass(frozen=True)
class ManifestDocument:
    """One manifest, the file that it is in, and the lines of its fields where they are known."""

    manifest: dict[str, Any]
    file: str
    lines: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Return file and line of the document."""
        return self.at("")

    def wrong(self, kind: str, name: str, path: str, problem: str) -> str:
        """Return the line that says what is wrong at a path."""
        return self.said(kind, name, path, f"{path}: {problem}" if path else problem)

    def said(self, kind: str, name: str, path: str, sentence: str) -> str:
        """Return the line of a sentence that names its path already."""
        return f'{self.at(path)}: {kind} "{name}" is invalid: {sentence}'

    def at(self, path: str) -> str:
        """Return file and line of a field, or of what is nearest above it."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.file}:{self.lines[path]}" if path in self.lines else self.file

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (kind, namespace, name)."""
        metadata = self.manifest["metadata"]
        return self.manifest["kind"], metadata.get("namespace", "default"), metadata["name"]


@dataclass(frozen=True)
class Manifests:
    """What the paths hold: our kinds, and what only a cluster knows what to do with, as `Secret name`."""

    documents: tuple[ManifestDocument, ...]
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    # The keys of the Secrets that sources and stages name, as far as they are among the manifests.
    secrets: Mapping[Name, Values] = field(default_factory=dict, repr=False)
    # Those that are named, there or not.
    named_secrets: frozenset[Name] = frozenset()


def read(paths: Iterable[str], *, words_are_texts: bool = False) -> Manifests:
    """Return the manifests under `paths`, checked. Raises UserError that lists every wrong field of every document.

    `words_are_texts`: where a text belongs, y, no and on are taken as written, with a warning; to kubectl they are
    booleans, which it refuses there.
    """
    paths = tuple(paths)
    found = [document for path in paths for document in _documents(path)]
    warnings = [said for document in found for said in _words_as_texts(document)] if words_are_texts else []
    if not found:
        raise UserError(f"no manifest in {', '.join(paths)}: files end in {', '.join(SUFFIXES)}")
    ours = [document for document in found if not _is_foreign(document.manifest)]
    if wrong := mistakes_in(ours):
        raise UserError(listed(wrong))
    foreign = [document for document in found if _is_foreign(document.manifest)]
    if not ours:
        shown = ", ".join(_shown(document.manifest) for document in foreign)
        raise UserError(f"none of {', '.join(KINDS)} in {', '.join(paths)}, only {shown}")
    named = frozenset(_secrets_named(ours))
    secrets = secrets_of(((document.place, document.manifest) for document in foreign), named)
    left_out = tuple(_shown(document.manifest) for document in foreign if name_of(document.manifest) not in secrets)
    return Manifests(tuple(ours), left_out, tuple(warnings), secrets, named)


def _secrets_named(found: Iterable[ManifestDocument]) -> Iterator[Name]:
    """Yield the Secrets that the sources of Datasets and of labels, and stages of models, name."""
    for document in found:
        parsed = parse_written(document.manifest)
        if isinstance(parsed, Dataset) and parsed.spec.source.secret is not None:
            yield document.key[1], parsed.spec.source.secret
        if isinstance(parsed, DriftMonitor):
            named = (each.secret for each in parsed.spec.labels.sources or ())
            yield from ((document.key[1], secret) for secret in named if secret is not None)
        for stage in _stages(parsed):
            yield from ((document.key[1], secret) for secret in stage.secrets)


def _stages(parsed: Resource) -> tuple[Stage, ...]:
    if isinstance(parsed, ModelVersion):
        return parsed.spec.promotion.stages
    if isinstance(parsed, TrainingRun) and parsed.spec.register_ is not None:
        return parsed.spec.register_.promotion.stages
    return ()


def _words_as_texts(document: ManifestDocument) -> Iterator[str]:
    """Put the texts back that are booleans in YAML 1.1 only, and yield what to write for kubectl."""
    if not document.words or _is_foreign(document.manifest):
        return
    try:
        parse_written(document.manifest)
    except InvalidObject as error:
        for path, _ in error.causes:
            word = document.words.get(path)
            if word is not None and _replaced(document.manifest, path, word):
                yield f'{document.at(path)}: {path}: {word} is a boolean to kubectl, which refuses it: write "{word}"'


def _replaced(manifest: dict[str, Any], path: str, text: str) -> bool:
    """Put a text where a boolean stands; returns whether there is one."""
    *way, last = [int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", path)]
    place: Any = manifest
    try:
        for part in way:
            place = place[part]
        if not isinstance(place[last], bool):
            return False
    except (KeyError, IndexError, TypeError):
        return False
    place[last] = text
    return True


def mistakes_in(found: Sequence[ManifestDocument]) -> list[str]:
    """Return all that is wrong with the manifests as far as they show it, one line each: file, line, object, field."""
    wrong: list[str] = []
    seen: dict[tuple[str, str, str], str] = {}
    valid: list[tuple[ManifestDocument, Resource]] = []
    for document in found:
        try:
            valid.append((document, parse_written(document.manifest)))
        except InvalidObject as error:
            wrong += [document.wrong(error.kind, error.name, *cause) for cause in error.causes]
            continue
        if document.key in seen:
            kind, _, name = document.key
            wrong.append(f"{document.place}: {kind} {name!r} stands twice: also in {seen[document.key]}")
        seen[document.key] = document.place
    by_key = {each.key: (document, each) for document, each in valid}
    for resource, mistake in of_all([each for _, each in valid]):
        document, _ = by_key[resource.key]
        wrong.append(document.said(resource.kind, resource.metadata.name, mistake.path, mistake.said))
    return wrong


def _is_foreign(manifest: dict[str, Any]) -> bool:
    """Return whether this is for other software: a Namespace or a Secret may stand beside our kinds."""
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if not (isinstance(version, str) and isinstance(kind, str) and version and kind):
        return False
    return version.partition("/")[0] != GROUP and kind not in KINDS


def _shown(manifest: dict[str, Any]) -> str:
    metadata = manifest.get("metadata")
    return f"{manifest['kind']} {metadata.get('name', '') if isinstance(metadata, dict) else ''}".rstrip()


def _documents(path: str) -> Iterator[ManifestDocument]:
    for name, text in _texts(path):
        try:
            for index, parsed in enumerate(documents(text, is_json=name.endswith(".json"))):
                for manifest, path in _items(parsed.value, f"{name}: document {index + 1}", ""):
                    yield ManifestDocument(manifest, name, _below(parsed.lines, path), _below(parsed.words, path))
        except NotAManifest as error:
            place = ":".join(str(part) for part in (name, error.line, error.column) if part is not None)
            raise UserError(f"{place}: {error.problem}") from error


def _below(known: Mapping[str, _Known], path: str) -> dict[str, _Known]:
    """Return what is known of the fields of what stands at a path."""
    below = {name.removeprefix(f"{path}."): each for name, each in known.items() if name.startswith(f"{path}.")}
    return {**below, **({"": known[path]} if path in known else {})} if path else dict(known)


def _items(value: Any, place: str, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the manifests in a document, and their paths in it: one, none if it is empty, or those of a List."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise UserError(f"{place} is no object but a {_KINDS_OF_VALUES.get(type(value), 'value')}: write a manifest")
    if (value.get("apiVersion"), value.get("kind")) != ("v1", "List"):
        yield _as_applied(value), path
        return
    items = value.get("items")
    if not isinstance(items, list):
        raise UserError(f"{place}: items: a List needs a list of objects")
    for index, item in enumerate(items):
        below = f"{path}.items[{index}]" if path else f"items[{index}]"
        yield from _items(item, f"{place}: items[{index}]", below)


def _as_applied(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest without what only a cluster writes: status is a subresource, a user's is ignored."""
    manifest = {name: value for name, value in manifest.items() if name != "status"}
    if isinstance(manifest.get("metadata"), dict):
        kept = {name: value for name, value in manifest["metadata"].items() if name not in _WRITTEN_BY_THE_CLUSTER}
        manifest["metadata"] = kept
    return manifest


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "standard input", _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
        return
    place = Path(path)
    if not place.exists():
        raise UserError(f"{path}: there is no such file or folder")
    files = sorted(p for p in place.iterdir() if p.suffix in SUFFIXES) if place.is_dir() else [place]
    for file in files:
        with file.open("rb") as opened:
            yield str(file), _decoded(opened.read(MAX_BYTES + 1), str(file))


def _decoded(content: bytes, name: str) -> str:
    if len(content) > MAX_BYTES:
        raise UserError(f"{name}: larger than {MAX_BYTES} bytes: a manifest holds no data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}: save it as UTF-8") from error
