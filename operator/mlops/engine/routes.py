"""By links: from an object that changed to the keys to plan again, and from a key to what its plan reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops.api.kinds import KINDS
from mlops.engine.cluster import Reader, field_of, key_of, labels_of
from mlops.engine.links import CHILDREN, LINKS, NAME, Link
from mlops.engine.over import LABEL
from mlops.planning.plan import Key, Manifest

JOB_NAME = "batch.kubernetes.io/job-name"
# By kind: the links by which a change of an object wakes somebody.
_WAKING: Mapping[str, tuple[Link, ...]] = {
    kind: tuple(link for link in LINKS if link.read == kind and link.wakes) for kind in KINDS
}


def keys_of(manifest: Manifest, reader: Reader) -> set[Key]:
    """Return the keys whose plan may depend on the object; a missing one only delays, one too many only costs time."""
    return set(_keys(manifest, reader))


def _keys(manifest: Manifest, reader: Reader) -> Iterator[Key]:
    kind, namespace, name = key_of(manifest)
    if kind == "Event":
        return
    if kind in KINDS and kind != "ModelVersion":
        yield Key(kind, namespace, name)
    for link in (*CHILDREN, *_WAKING.get(kind, ())):
        yield from _woken(link, manifest, reader)
    if kind == "Pod":
        job = reader.get(Key("Job", namespace, labels_of(manifest).get(JOB_NAME, "")))
        if job is not None:
            yield from _keys(job, reader)


def _woken(link: Link, manifest: Manifest, reader: Reader) -> Iterator[Key]:
    """Yield the keys whose plan reads the object by this link."""
    namespace, value = key_of(manifest).namespace, value_of(manifest, link.at)
    if not value:
        return
    if link.by == NAME:
        yield (woken := Key(link.planned, namespace, str(value)))
        present = reader.get(woken) if link.onward else None
        if present is not None and (onward := labels_of(present).get(str(link.onward))):
            yield Key(link.planned, namespace, onward)
        return
    for holder in reader.by_field(link.held_by, namespace, link.woken_by, str(value)):
        model = str(field_of(holder, "spec.modelName"))
        yield Key("Model", namespace, model) if link.planned == "Model" else key_of(holder)


def value_of(manifest: Manifest, field: str) -> Any:
    """Return what stands in a field of a link."""
    return key_of(manifest).name if field == NAME else field_of(manifest, field)


def linked(link: Link, namespace: str, value: str | None, reader: Reader) -> Sequence[Manifest]:
    """Return the objects that a plan reads by a link: those whose field has this value, oldest first."""
    if not value:
        return ()
    if link.at == NAME:
        present = reader.get(Key(link.read, namespace, value))
        return () if present is None else (present,)
    if link.at.startswith(LABEL):
        return reader.list(link.read, namespace, {link.at.removeprefix(LABEL): value})
    return reader.by_field(link.read, namespace, link.at, value)
