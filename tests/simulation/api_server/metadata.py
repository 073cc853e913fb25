"""Rules of metadata that hold for every kind."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from tests.simulation.api_server.errors import FORBIDDEN, INVALID, REQUIRED, TOO_LONG, Cause, shown

Manifest = dict[str, Any]

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_KEY_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_MOST_ANNOTATIONS = 256 * 1024

_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def check(manifest: Manifest, *, label_name: bool = False) -> list[Cause]:
    """What is wrong with an object's metadata; `label_name`: the name must be a DNS label (a Service's)."""
    metadata = manifest["metadata"]
    causes = check_name(metadata.get("name", ""), label_name=label_name)
    for field, names in (("labels", metadata.get("labels")), ("annotations", metadata.get("annotations"))):
        for key, value in (names or {}).items():
            causes += [Cause(f"metadata.{field}", text) for text in qualified_name(key)]
            if field == "labels":
                causes += label_value(value, "metadata.labels")
    if sum(len(key) + len(value) for key, value in (metadata.get("annotations") or {}).items()) > _MOST_ANNOTATIONS:
        causes.append(
            Cause("metadata.annotations", f"Too long: may not be more than {_MOST_ANNOTATIONS} bytes", TOO_LONG)
        )
    causes += _owners(metadata.get("ownerReferences") or ())
    for finalizer in metadata.get("finalizers") or ():
        causes += [Cause("metadata.finalizers", text) for text in qualified_name(finalizer)]
    return causes


def check_name(name: str, *, label_name: bool) -> list[Cause]:
    """What is wrong with a name."""
    if not name:
        return [Cause("metadata.name", "Required value: name or generateName is required", REQUIRED)]
    texts = _label_1035(name) if label_name else subdomain(name)
    return [Cause("metadata.name", f"Invalid value: {shown(name)}: {text}") for text in texts]


def subdomain(name: str) -> list[str]:
    """What is wrong with a name that has to be a DNS subdomain, as those of most objects."""
    texts = ["must be no more than 253 bytes"] if len(name) > 253 else []
    return texts if SUBDOMAIN.fullmatch(name) else [*texts, _SUBDOMAIN_TEXT]


def _label_1035(name: str) -> list[str]:
    texts = ["must be no more than 63 characters"] if len(name) > 63 else []
    return texts if LABEL_1035.fullmatch(name) else [*texts, _LABEL_1035_TEXT]


@lru_cache(maxsize=4096)
def label_value(value: str, field: str) -> tuple[Cause, ...]:
    """What is wrong with a label's value."""
    causes = []
    if len(value) > 63:
        causes.append(Cause(field, f"Invalid value: {shown(value)}: must be no more than 63 bytes"))
    if not _VALUE.fullmatch(value):
        text = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
            "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )
        causes.append(Cause(field, f"Invalid value: {shown(value)}: {text}"))
    return tuple(causes)


@lru_cache(maxsize=4096)
def qualified_name(key: str) -> tuple[str, ...]:
    """What is wrong with a qualified name (of a label, an annotation, a finalizer)."""
    prefix, slash, name = key.rpartition("/")
    texts = []
    if slash and not prefix:
        texts.append("prefix part must be non-empty")
    elif slash and ("/" in prefix or not SUBDOMAIN.fullmatch(prefix.lower())):
        texts.append(f"prefix part {_SUBDOMAIN_TEXT}")
    if not name:
        texts.append("name part must be non-empty")
    elif len(name) > 63:
        texts.append("name part must be no more than 63 bytes")
    if not _KEY_NAME.fullmatch(name):
        texts.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )
    return tuple(f"Invalid value: {shown(key)}: {text}" for text in texts)


def _owners(references: Any) -> list[Cause]:
    causes = []
    controllers = 0
    for reference in references:
        for field, text in (
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ):
            if not reference.get(field):
                causes.append(Cause(f"metadata.ownerReferences.{field}", f'Invalid value: "": {text}'))
        controllers += bool(reference.get("controller"))
    if controllers > 1:
        text = "Invalid value: Only one reference can have Controller set to true"
        causes.append(Cause("metadata.ownerReferences", text))
    return causes


def check_update(new: Manifest, old: Manifest) -> list[Cause]:
    """What of the metadata may not change."""
    before, after = old["metadata"], new["metadata"]
    causes = []
    for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if before.get(field) != after.get(field):
            value = after.get(field)
            text = "null" if value is None else shown(value)
            causes.append(Cause(f"metadata.{field}", f"Invalid value: {text}: field is immutable", INVALID))
    if before.get("deletionTimestamp"):
        added = [name for name in after.get("finalizers") or () if name not in (before.get("finalizers") or ())]
        if added:
            text = (
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{', '.join(map(shown, added))}}}"
            )
            causes.append(Cause("metadata.finalizers", text, FORBIDDEN))
    return causes
