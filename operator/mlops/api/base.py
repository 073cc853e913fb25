"""Building blocks of the four kinds: strict models, rules that are CEL and Python at once, and the field types."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

GROUP = "mlops.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# Children add suffixes of up to 11 characters to an object's name, and a label value or a Job name ends at 63.
MAX_NAME = 52


@dataclass(frozen=True)
class Rule:
    """One constraint, said twice: as CEL for the API server and as Python for everything that has none.

    `check` takes the model (and the old one, for a transition rule) and returns whether it holds. A test
    holds both against each other on a real kube-apiserver.
    """

    cel: str
    message: str
    check: Callable[..., bool]
    transition: bool = False
    field_path: str | None = None


class Model(BaseModel):
    """A part of an object: camelCase in YAML, immutable in Python, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obeys_its_rules(self) -> Self:
        for rule in self.rules:
            if not rule.transition and not rule.check(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "field_path": rule.field_path})
        return self

    def dump(self) -> dict[str, Any]:
        """Return the YAML shape: camelCase keys, unset optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def exactly_one_of(*fields: str, path: str) -> Rule:
    """Return the rule that just one of the optional `fields` (in camelCase) is set; `path` is for the message."""
    attributes = tuple(re.sub("([A-Z])", lambda match: "_" + match[1].lower(), field) for field in fields)
    listed = ", ".join(f"{path}.{field}" for field in fields)
    return Rule(
        cel=" + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields) + " == 1",
        message=f"exactly one of {listed} must be set",
        check=lambda self: sum(getattr(self, attribute) is not None for attribute in attributes) == 1,
    )


def immutable(path: str, way_out: str) -> Rule:
    """Return the transition rule that the value never changes; `way_out` says what to do instead."""
    return Rule(
        cel="self == oldSelf",
        message=f"{path} is immutable: {way_out}",
        check=lambda self, old: self == old,
        transition=True,
    )


def _unit_pattern(units: str) -> str:
    return rf"^([0-9]{{1,6}}[{units}])([0-9]{{1,6}}[{units}]){{0,3}}$"


def _cron_field(value: str) -> str:
    item = rf"(?:\*|{value}(?:-{value})?)(?:/[1-9][0-9]?)?"
    return rf"{item}(?:,{item}){{0,30}}"


_MONTH = "(?:1[0-2]|[1-9]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
_WEEKDAY = "(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
CRON_PATTERN = (
    "^"
    + " ".join(
        [
            _cron_field("(?:[1-5]?[0-9])"),
            _cron_field("(?:1[0-9]|2[0-3]|[0-9])"),
            _cron_field("(?:[12][0-9]|3[01]|[1-9])"),
            _cron_field(_MONTH),
            _cron_field(_WEEKDAY),
        ]
    )
    + "$"
)

Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", min_length=1, max_length=MAX_NAME),
]
# A Service is named <modelName>-<stage> and must be an RFC 1035 label of at most 63 characters.
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=1, max_length=40)]
StageName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=1, max_length=20)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", min_length=1, max_length=64)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Decimal = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?$", max_length=70)
]
Fraction = Annotated[str, StringConstraints(pattern=r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$", max_length=16)]
Duration = Annotated[str, StringConstraints(pattern=_unit_pattern("dhms"), max_length=32)]
Cron = Annotated[str, StringConstraints(pattern=CRON_PATTERN, max_length=120)]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", min_length=1, max_length=64)]
Expression = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$", min_length=1, max_length=1024)]
S3Uri = Annotated[
    str,
    StringConstraints(
        # Segments that are empty, dotted only or percent-encoded dots never reach a bucket.
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(?:[A-Za-z0-9!_*'()=+,@-][A-Za-z0-9!_.*'()=+,@-]*/?)+$",
        max_length=1024,
    ),
]
Text = Annotated[str, StringConstraints(max_length=256)]
# A RFC 3339 moment in UTC, as Kubernetes writes it.
Timestamp = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$", max_length=32
    ),
]

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Return the time span of a `Duration` such as `1d12h`."""
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)([dhms])", text)))


def parse_time(text: str) -> datetime:
    """Return the moment of a `Timestamp`, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def format_time(moment: datetime) -> str:
    """Return `moment` as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class OwnerReference(BaseModel):
    """Kubernetes' own: the object whose deletion takes this one with it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(BaseModel):
    """Kubernetes' own metadata, as far as the operator reads it; what else is there is kept."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)
    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(Model):
    """What the four kinds have in common: metadata, and conditions in the status."""

    api_version: str = API_VERSION
    kind: str
    metadata: ObjectMeta

    # Set by each kind; the generator of the CRDs reads them.
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[Column, ...]]

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (kind, namespace, name)."""
        return (self.kind, self.metadata.namespace, self.metadata.name)


@dataclass(frozen=True)
class Column:
    """One `kubectl get` column; `priority` 1 shows it with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""
