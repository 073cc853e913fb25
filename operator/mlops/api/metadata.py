"""What an API server says of the metadata that a user writes, for everything that has none.

Only for manifests: what comes from a cluster has passed there, and may have fields that are newer than this program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# meta/v1 ObjectMeta of Kubernetes 1.34.
_FIELDS = frozenset(
    (
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    )
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LONGEST_WORD, _LONGEST_PREFIX, _MOST_ANNOTATION_BYTES = 63, 253, 256 * 1024


def mistakes_in(metadata: Any) -> list[tuple[str, str]]:
    """Return (field path, message) of everything that is wrong; types are somebody else's to check."""
    return list(_mistakes(metadata)) if isinstance(metadata, dict) else []


def _mistakes(metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((f"metadata.{name}", "unknown field") for name in metadata if name not in _FIELDS)
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        yield "metadata.name", f"Invalid value: {name!r}: a name has lower-case letters, digits, - and ."
    if isinstance(namespace, str) and not _NAMESPACE.fullmatch(namespace):
        yield "metadata.namespace", f"Invalid value: {namespace!r}: a namespace has lower-case letters, digits and -"
    for key, value in _texts(metadata.get("labels")):
        yield from _key_mistakes("metadata.labels", key)
        if value and not (len(value) <= _LONGEST_WORD and _WORD.fullmatch(value)):
            yield (
                "metadata.labels",
                f"Invalid value: {value!r}: a label's value has at most {_LONGEST_WORD} letters, digits, -, _ and .",
            )
    annotations = _texts(metadata.get("annotations"))
    for key, _ in annotations:
        yield from _key_mistakes("metadata.annotations", key)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations) > _MOST_ANNOTATION_BYTES:
        yield "metadata.annotations", f"Too long: must have at most {_MOST_ANNOTATION_BYTES} bytes"


def _key_mistakes(path: str, key: str) -> Iterator[tuple[str, str]]:
    prefix, slash, word = key.rpartition("/")
    good = len(word) <= _LONGEST_WORD and _WORD.fullmatch(word)
    if slash:
        good = good and len(prefix) <= _LONGEST_PREFIX and _NAME.fullmatch(prefix)
    if not good:
        yield (
            path,
            f"Invalid value: {key!r}: a key has letters, digits, -, _ and ., and may begin with a DNS name and one /",
        )


def _texts(values: Any) -> list[tuple[str, str]]:
    if not isinstance(values, dict):
        return []
    return [(key, value) for key, value in values.items() if isinstance(key, str) and isinstance(value, str)]
