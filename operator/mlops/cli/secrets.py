"""Secrets without a cluster: from the manifests beside what names them, those of sources also from the environment.

They go to the pods that are given them, and nowhere else. Those of sources never into the state folder; those of a
stage's servers are files in the folder of the running pod, their owner's alone, and go with it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlops.api.sql_source import SECRET_KEYS
from mlops.cli.errors import UserError

PREFIX = "MLOPS_SECRET_"
# In a pod a key may be the name of a file.
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
Name = tuple[str, str]  # namespace, name
Values = Mapping[str, str]


def secrets_of(manifests: Iterable[tuple[str, Mapping[str, Any]]], wanted: Iterable[Name]) -> dict[Name, Values]:
    """Return the keys of those of the wanted Secrets that are among the manifests, each with its place.

    Raises UserError for one that no API server would take.
    """
    wanted = set(wanted)
    found: dict[Name, Values] = {}
    for place, manifest in manifests:
        if (name := name_of(manifest)) in wanted and name is not None:
            if name in found:
                raise UserError(f"{place}: Secret {name[1]!r} stands twice in the manifests: keep one")
            found[name] = _values(place, manifest)
    return found


def name_of(manifest: Mapping[str, Any]) -> Name | None:
    """Return namespace and name of a Secret; None for anything else."""
    metadata = manifest.get("metadata")
    if manifest.get("apiVersion") != "v1" or manifest.get("kind") != "Secret" or not isinstance(metadata, dict):
        return None
    return str(metadata.get("namespace", "default")), str(metadata.get("name", ""))


def from_environment(environ: Mapping[str, str], wanted: Iterable[Name]) -> dict[Name, Values]:
    """Return the keys of the wanted Secrets that the environment holds, as MLOPS_SECRET_<NAME>_<KEY>."""
    found: dict[Name, Values] = {}
    for name in wanted:
        start = variable_of(name[1], "")
        keys = {key: environ[start + key.upper()] for key in _known_keys() if environ.get(start + key.upper())}
        if keys:
            found[name] = keys
    return found


def variable_of(name: str, key: str) -> str:
    """Return the variable that holds a key of a Secret."""
    return f"{PREFIX}{re.sub('[^A-Z0-9]', '_', name.upper())}_{key.upper()}"


def _known_keys() -> list[str]:
    return [*(each for names in SECRET_KEYS.values() for each in names), "AUTHORIZATION"]


def _values(place: str, manifest: Mapping[str, Any]) -> Values:
    found: dict[str, str] = {}
    for part in ("data", "stringData"):
        given = manifest.get(part) or {}
        if not isinstance(given, dict):
            raise UserError(f"{place}: {part}: is no object: write a line key: value for each key")
        for key, value in given.items():
            if not isinstance(value, str):
                raise UserError(f"{place}: {part}.{key}: is no text: put it in quotes")
            if not _KEY.fullmatch(str(key)) or str(key).startswith(".."):
                raise UserError(f"{place}: {part}: {str(key)[:64]!r} is no key: use letters, digits, -, _ and .")
            found[str(key)] = _decoded(value, f"{place}: {part}.{key}") if part == "data" else value
    if bad := next((key for key, value in found.items() if "\0" in value), None):
        raise UserError(f"{place}: {bad}: holds a NUL, which no environment can")
    return found


def _decoded(value: str, path: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{path}: is no text in base64: encode it, or write it under stringData") from error
