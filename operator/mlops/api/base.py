"""Building blocks of the four kinds: strict models, rules that are CEL and Python at once, and the field types."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

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


def _no_text(value: Any) -> Any:
    if isinstance(value, str):
        raise PydanticCustomError("text_for_a_number", "")
    return value


def _only_a_boolean(value: Any) -> Any:
    if isinstance(value, str | int) and not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {"int": _no_text, "bool": _only_a_boolean}


def _without_texts(node: Any, *, root: bool = True) -> Any:
    """Return pydantic's schema of a model with a check before each of its numbers and booleans."""
    if isinstance(node, list):
        return [_without_texts(item, root=False) for item in node]
    # A model inside has had it already.
    if not isinstance(node, dict) or (node.get("type") == "model" and not root):
        return node
    if check := _CHECKS.get(str(node.get("type"))):
        return core_schema.no_info_before_validator_function(check, node)
    within = root and node.get("type") != "model"
    return {name: _without_texts(item, root=within and name == "schema") for name, item in node.items()}


class Model(BaseModel):
    """A part of an object: camelCase in YAML, immutable in Python, unknown fields refused."""

    # Validators are built when they are first needed: a pod knows a hundred models by import and needs a few.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, defer_build=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    # Names in YAML by attribute, of the lists whose items are told apart by their names.
    _by_name: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls._by_name = {
            attribute: field.alias or attribute
            for attribute, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict) and "x-kubernetes-list-map-keys" in field.json_schema_extra
        }

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take no text for a number or a boolean: an API server does not, and what runs here has to run there."""
        schema: CoreSchema = _without_texts(handler(source))
        return schema

    @classmethod
    def model_rebuild(cls, *, _parent_namespace_depth: int = 0, **how: Any) -> bool | None:
        """Build the validator; names mean what they do where the model is defined, never where it is first used."""
        return super().model_rebuild(_parent_namespace_depth=0, **how)

    @model_validator(mode="after")
    def _obeys_its_rules(self) -> Self:
        for attribute, name in self._by_name.items():
            seen: set[str] = set()
            for index, item in enumerate(getattr(self, attribute)):
                if item.name in seen:
                    raise PydanticCustomError("duplicate", "{value}", {"place": f"{name}[{index}]", "value": item.name})
                seen.add(item.name)
        for rule in self.rules:
            if not rule.transition and not rule.check(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "field_path": rule.field_path})
        return self

    def evolve(self, **changes: Any) -> Self:
        """Return the model with other values of some of its fields; what else it holds is shared.

        mypy holds names and types to the fields (hack/mypy_evolve.py). Values are not validated again: they come of
        models, or of code that is checked by their types.
        """
        if unknown := changes.keys() - type(self).model_fields.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        return self.model_copy(update=changes)

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


def unchanged(*, always: tuple[str, ...], optional: tuple[str, ...]) -> str:
    """Return the CEL of a transition rule that these fields stay as they are; those that are required or have a default
    are `always` there."""
    same = [f"self.{name} == oldSelf.{name}" for name in always]
    same += [
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
        for name in optional
    ]
    return " && ".join(same)


def _cron_field(value: str) -> str:
    item = rf"(?:\*|{value}(?:-{value})?)(?:/[1-9][0-9]?)?"
    return rf"{item}(?:,{item}){{0,30}}"


_CRON_FIELDS = {
    "minute": (_cron_field("(?:[1-5]?[0-9])"), "0 to 59"),
    "hour": (_cron_field("(?:1[0-9]|2[0-3]|[0-9])"), "0 to 23"),
    "day of month": (_cron_field("(?:[12][0-9]|3[01]|[1-9])"), "1 to 31"),
    "month": (
        _cron_field("(?:1[0-2]|[1-9]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"),
        "1 to 12 or JAN to DEC",
    ),
    "day of week": (_cron_field("(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"), "0 to 7 or SUN to SAT"),
}


@dataclass(frozen=True)
class TextRule:
    """One constraint on a text, with a message that tells more than a regular expression does."""

    cel: str
    message: str
    check: Callable[[str], bool]


# By pattern: what the API server and the parser say instead of "should match '^[a-z…'".
TEXT_RULES: dict[str, tuple[TextRule, ...]] = {}


def text(pattern: str, message: str, max_length: int) -> StringConstraints:
    """Return the constraint, and keep its message for the API server and the parser.

    The pattern is read by three engines: Rust's (pydantic), Python's (messages) and RE2 (the API server). It says what
    all three read alike, and what Python reads in linear time: no \\s, \\d or \\w, whose letters differ, no
    look-around, no two ways to read one text.
    """
    # In Python a `$` also stands before a line break at the end.
    whole = re.compile(pattern.removesuffix("$") + r"\Z")
    TEXT_RULES[pattern] = (
        TextRule(f'self.matches(r"{pattern}")', message, lambda text: whole.search(text) is not None),
    )
    return StringConstraints(pattern=pattern, max_length=max_length)


def _cron() -> StringConstraints:
    pattern = "^" + " ".join(field for field, _ in _CRON_FIELDS.values()) + "$"

    def one(index: int, name: str) -> TextRule:
        field, allowed = _CRON_FIELDS[name]
        return TextRule(
            f"self.split(' ').size() != 5 || self.split(' ')[{index}].matches(r\"^{field}$\")",
            f"the {name} (field {index + 1} of the cron line) must be {allowed}, *, a range a-b, a step */n or a list",
            lambda text: len(text.split(" ")) != 5 or re.fullmatch(field, text.split(" ")[index]) is not None,
        )

    TEXT_RULES[pattern] = (
        TextRule(
            "self.split(' ').size() == 5",
            "a cron line has five fields with one space between: minute hour day-of-month month day-of-week",
            lambda text: len(text.split(" ")) == 5,
        ),
        *(one(index, name) for index, name in enumerate(_CRON_FIELDS)),
    )
    return StringConstraints(pattern=pattern, max_length=120)


def _is_a_timestamp(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("rule", "{message}", {"message": f"{text!r} is no timestamp: {error}"}) from error
    return text


_LABEL = "lower-case letters, digits and -, beginning and ending with a letter or digit"

Name = Annotated[str, text(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", f"a name has {_LABEL}", MAX_NAME)]
# A Service is named <modelName>-<stage> and must be an RFC 1035 label of at most 63 characters.
_DNS = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
_DNS_MESSAGE = f"a Service is named after it: {_LABEL}, the first a letter"
ModelName = Annotated[str, text(_DNS, _DNS_MESSAGE, 40)]
StageName = Annotated[str, text(_DNS, _DNS_MESSAGE, 20)]
FieldName = Annotated[
    str,
    text(
        r"^[A-Za-z_][A-Za-z0-9_.-]*$",
        "a column's name has letters, digits, _, . and -, first a letter or _; column: says what a delivery calls it",
        64,
    ),
]
Digest = Annotated[str, text(r"^sha256:[0-9a-f]{64}$", "a digest is sha256: and 64 lower-case hex digits", 71)]
Decimal = Annotated[
    str,
    text(r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?$", 'a number written as text, such as "0.85"', 70),
]
Fraction = Annotated[
    str, text(r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$", 'a number from 0 to 1 written as text, such as "0.2"', 16)
]
Duration = Annotated[
    str, text(r"^([0-9]{1,6}[dhms]){1,4}$", "a duration is numbers with d, h, m or s, such as 24h or 1d12h", 32)
]
Cron = Annotated[str, _cron()]
TimeZone = Annotated[
    str, text(r"^[A-Za-z][A-Za-z0-9_+/-]*$", "a name of the time zone database, such as Europe/Berlin", 64)
]
Expression = Annotated[str, text(r"^[^\x00-\x1f]+$", "a SQL expression on one line", 1024)]
# Segments that are empty, begin with a dot or hold % never reach a bucket.
_SEGMENT = "[A-Za-z0-9!_*'()=+,@-][A-Za-z0-9!_.*'()=+,@-]*"
S3Uri = Annotated[
    str,
    text(
        f"^s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]/{_SEGMENT}(?:/{_SEGMENT})*/?$",
        "the form is s3://bucket/key or s3://bucket/prefix/ , without .. , // , % or \\",
        1024,
    ),
]
# The name of an object that is not ours: a DNS-1123 subdomain.
ObjectName = Annotated[
    str,
    text(
        r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
        "the name of an object has lower-case letters, digits, - and ., and each part between dots begins and ends "
        "with a letter or digit",
        253,
    ),
]
Text = Annotated[str, StringConstraints(max_length=256)]
# A RFC 3339 timestamp in UTC, as Kubernetes writes it.
Timestamp = Annotated[
    str,
    text(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        "a timestamp in UTC such as 2026-01-31T12:00:00Z",
        27,
    ),
    AfterValidator(_is_a_timestamp),
]

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Return the time span of a `Duration` such as `1d12h`."""
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]{1,6})([dhms])", text)))


def earlier(timestamp: datetime, span: timedelta) -> datetime:
    """Return the timestamp a span before another, at the earliest the calendar's first: 9999d may mean "all"."""
    first = datetime.min.replace(tzinfo=UTC)
    return timestamp - span if timestamp - first > span else first


def parse_time(text: str) -> datetime:
    """Return the timestamp of a `Timestamp`, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def is_timestamp(text: str) -> bool:
    """Return whether `text` is a `Timestamp`."""
    try:
        return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def format_time(timestamp: datetime) -> str:
    """Return `timestamp` as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    # Not by strftime: it writes the year 1 as "1".
    return timestamp.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


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
    columns: ClassVar[tuple[PrinterColumn, ...]]

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (kind, namespace, name)."""
        return (self.kind, self.metadata.namespace, self.metadata.name)


@dataclass(frozen=True)
class PrinterColumn:
    """One `kubectl get` column; `priority` 1 shows it with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


def readiness_columns(*wide: PrinterColumn) -> tuple[PrinterColumn, ...]:
    """Return the columns that end every kind's table: Ready and why; with `-o wide` also `wide` and the message."""
    path = ".status.conditions[?(@.type=='Ready')]"
    return (
        PrinterColumn("Ready", f"{path}.status"),
        PrinterColumn("Reason", f"{path}.reason"),
        *wide,
        PrinterColumn("Message", f"{path}.message", priority=1),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    )
