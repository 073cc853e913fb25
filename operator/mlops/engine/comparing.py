"""Whether what is there is what is wanted: fields, digests, amounts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from mlops.api import labels
from mlops.engine.cluster import owners_of
from mlops.planning.plan import Manifest

# On every converged child: the digest of what was applied. A field that is no longer wanted can be told by it, which
# a comparison of the wanted fields with the present ones cannot.
APPLIED = "mlops.dev/applied"
# Annotations that hold the time of the plan, which the child's task may repeat: the next plan has another time.
_TIMES_OF_PLANS = (labels.SINCE, labels.AS_OF)

# Fields whose values are quantities.
_AMOUNTS = ("limits", "requests", "sizeLimit")
_QUANTITY = re.compile(
    r"((?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"
)
_SUFFIXES: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{name: Decimal(1000) ** power for power, name in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}


def marked(wanted: Manifest) -> Manifest:
    """Return a child with the digest of what is applied of it."""
    annotations = {**(wanted["metadata"].get("annotations") or {}), APPLIED: short_digest(unconditional(wanted))}
    return {**wanted, "metadata": {**wanted["metadata"], "annotations": annotations}}


def unconditional(wanted: Manifest) -> Manifest:
    """Return a child without the resourceVersion that it is only to be written over at: that is no part of it."""
    return {**wanted, "metadata": {n: value for n, value in wanted["metadata"].items() if n != "resourceVersion"}}


def short_digest(wanted: Manifest) -> str:
    """Return a digest of a manifest, short enough for an annotation."""
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]


def timeless_digest(wanted: Manifest) -> str:
    """Return a digest of a child that is the same whatever time it is planned at."""
    text = json.dumps(wanted, sort_keys=True)
    annotations = wanted["metadata"].get("annotations") or {}
    for time in filter(None, map(annotations.get, _TIMES_OF_PLANS)):
        text = text.replace(time, "")
    return short_digest({"text": text})


def essence(present: Manifest, wanted: Manifest) -> str:
    """Return a digest of what of a child counts: all but its status, and annotations that are not ours."""
    metadata, ours = present["metadata"], wanted["metadata"]["annotations"]
    return short_digest(
        {
            "spec": present.get("spec"),
            "data": present.get("data"),
            "uid": metadata.get("uid"),
            "labels": metadata.get("labels"),
            "annotations": {name: (metadata.get("annotations") or {}).get(name) for name in ours},
            "owners": owners_of(present),
        }
    )


def covers(present: Any, wanted: Any, *, amounts: bool = False) -> bool:
    """Return whether every field of `wanted` stands in `present`, which may hold more (defaults, others' fields).

    An API server leaves out empty lists and texts, and writes amounts of a resource its own way: 2000m of cpu as 2.
    """
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            _owned(present[name], value)
            if name == "ownerReferences" and name in present
            else covers(present[name], value, amounts=amounts or name in _AMOUNTS)
            if name in present
            else value in ("", [])
            for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(present, list | tuple)
            and len(present) == len(wanted)
            and all(covers(*pair) for pair in zip(present, wanted, strict=True))
        )
    if amounts and present != wanted:
        return _amount(present) is not None and _amount(present) == _amount(wanted)
    return bool(present == wanted)


def _owned(present: Sequence[Manifest], wanted: Sequence[Manifest]) -> bool:
    """Return whether our owners stand among those that are there: others may have made it theirs as well."""
    present_by_uid = {each.get("uid"): each for each in present}
    return all(covers(present_by_uid.get(each["uid"]), each) for each in wanted)


def _amount(quantity: Any) -> Decimal | None:
    """Return a Kubernetes quantity as a number, None if it is none."""
    found = _QUANTITY.fullmatch(str(quantity))
    return Decimal(found[1]) * _SUFFIXES[found[2]] if found else None
