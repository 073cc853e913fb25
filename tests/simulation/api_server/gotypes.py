"""The built-in kinds as Go sees them: reading JSON into a struct and writing it again.

That drops unknown fields and empty values, adds the zero values of fields that are always written, and refuses a value
of another type. go_types.json says which fields there are (extract_types.py makes it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from tests.simulation.api_server.shapes import ANY, BOOLEAN, NUMBER, STRING, UNTYPED, Type

_STRUCTS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("go_types.json").read_text("utf-8"))

# Reads a value and returns it as it would be written again.
Decode = Callable[[Any], Any]


class WrongType(Exception):
    """A value that cannot be read into its field; `place` is that field."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message, self.place = message, ""

    def below(self, field: str) -> WrongType:
        """The same mistake, seen from the struct that has the field."""
        self.place = f"{field}.{self.place}".rstrip(".")
        return self

    def __str__(self) -> str:
        return self.message.replace("<field>", self.place)


# --- for server-side apply ---


@cache
def type_of(struct: str) -> Type:
    """The type of a struct, such as `batch/v1.Job`."""
    fields = _STRUCTS[struct]
    type_ = Type("struct", atomic=bool(fields.get("", {}).get("atomic")))
    type_.fields.update({name: _field_type(field) for name, field in fields.items() if name})
    return type_


def _field_type(field: dict[str, Any]) -> Type:
    type_ = _type(field["type"])
    merge = field.get("merge")
    if type_.shape == "list":
        inner = type_.element
        if merge == "map" and inner is not None:
            keys = tuple(field["keys"])
            known = _STRUCTS[_struct_in(field["type"])]
            given = {key: _key_default(known[key]) for key in keys if "default" in known[key] or not _omits(known[key])}
            return Type("list", element=inner, keys=tuple(sorted(keys)), key_defaults=given)
        return Type("list", atomic=merge != "set", element=inner)
    if merge == "atomic":
        return Type(type_.shape, atomic=True, fields=type_.fields, element=type_.element)
    return type_


def _omits(field: dict[str, Any]) -> bool:
    return bool(field.get("omitempty"))


def _key_default(field: dict[str, Any]) -> Any:
    """A key that is always written is never missing: it is its zero value then."""
    return field.get("default", 0 if field["type"] == "int32" else "")


def _struct_in(go_type: Any) -> str:
    while "struct" not in go_type:
        go_type = next(iter(go_type.values()))
    return str(go_type["struct"])


_SCALARS = {
    "string": STRING,
    "bytes": STRING,
    "time": UNTYPED,
    "microtime": UNTYPED,
    "bool": BOOLEAN,
    "int32": NUMBER,
    "int64": NUMBER,
    "float64": NUMBER,
    "intorstring": UNTYPED,
    "quantity": UNTYPED,
    "any": ANY,
}


def _type(go_type: Any) -> Type:
    if isinstance(go_type, str):
        return _SCALARS[go_type]
    ((wrap, inner),) = go_type.items()
    if wrap == "pointer":
        return _type(inner)
    if wrap == "struct":
        return type_of(inner)
    return Type("list" if wrap == "list" else "map", element=_type(inner))


# --- reading and writing ---


def parts(struct_name: str) -> dict[str, str]:
    """The structs that a kind consists of, by field: its spec, its status."""
    fields = _STRUCTS[struct_name]
    structs = {name: field["type"]["struct"] for name, field in fields.items() if "struct" in field["type"]}
    return {name: value for name, value in structs.items() if name in ("spec", "status")}


@cache
def struct(name: str) -> Decode:
    """The reader of a struct."""
    readers: dict[str, tuple[Decode, bool, bool]] = {}
    always: list[tuple[str, Callable[[], Any]]] = []
    ready = False

    def prepare() -> None:
        nonlocal ready
        for key, field in _STRUCTS[name].items():
            if not key:
                continue
            go_type, omit = field["type"], field.get("omitempty", False)
            pointer = isinstance(go_type, dict) and "pointer" in go_type
            # An empty struct, time or number-or-text that is no pointer is written all the same.
            plain = (isinstance(go_type, dict) and "struct" in go_type) or go_type in (
                "time",
                "microtime",
                "intorstring",
            )
            if field.get("omitzero"):
                plain = False
            readers[key] = (_reader(go_type), omit and not plain, pointer)
            if not omit or plain:
                always.append((key, _zero(go_type)))
        ready = True

    def read(value: Any) -> Any:
        if not ready:
            prepare()
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise _wrong(value, name)
        out = {}
        for key, item in value.items():
            reader = readers.get(key)
            if reader is None:
                continue
            decode, omit, pointer = reader
            if decode is _string and item.__class__ is str:
                if item or not omit:
                    out[key] = item
                continue
            try:
                found = decode(item)
            except WrongType as error:
                raise error.below(key) from None
            if not omit or found or (pointer and found is not None):
                out[key] = found
        for key, zero in always:
            if key not in out:
                out[key] = zero()
        return out

    return read


def _zero(go_type: Any) -> Callable[[], Any]:
    if isinstance(go_type, str):
        value = {"string": "", "bool": False, "int32": 0, "int64": 0, "float64": 0, "intorstring": 0}.get(go_type)
        return lambda: value
    ((wrap, inner),) = go_type.items()
    if wrap == "struct":
        return lambda: struct(inner)({})
    return lambda: None


def _reader(go_type: Any) -> Decode:
    if isinstance(go_type, str):
        return _READERS[go_type]
    ((wrap, inner),) = go_type.items()
    if wrap == "struct":
        return struct(inner)
    read = _reader(inner)
    if wrap == "pointer":
        return lambda value: None if value is None else read(value)
    if wrap == "list":
        return _list_reader(read)
    return _map_reader(read)


def _list_reader(read: Decode) -> Decode:
    def list_(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _wrong(value, "[]")
        return [read(item) for item in value]

    return list_


def _map_reader(read: Decode) -> Decode:
    def map_(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _wrong(value, "map")
        return {key: read(item) for key, item in value.items()}

    return map_


def _wrong(value: Any, wanted: str) -> WrongType:
    kind = {str: "string", bool: "bool", dict: "object", list: "array"}.get(type(value), "number")
    return WrongType(f"json: cannot unmarshal {kind} into Go struct field <field> of type {wanted}")


def _string(value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(value, "string")
    return value


def _bool(value: Any) -> Any:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong(value, "bool")
    return value


def _integer(bits: int) -> Decode:
    limit = 1 << (bits - 1)

    def integer(value: Any) -> Any:
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or not -limit <= value < limit:
            raise _wrong(value, f"int{bits}")
        return value

    return integer


_INT32 = _integer(32)


def _float(value: Any) -> Any:
    if value is None:
        return 0
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(value, "float64")
    return value


def _int_or_string(value: Any) -> Any:
    return value if isinstance(value, str) else _INT32(value)


_WHOLE_SECONDS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def _time(value: Any) -> Any:
    return _timestamp(value, "%Y-%m-%dT%H:%M:%SZ")


def _micro_time(value: Any) -> Any:
    return _timestamp(value, "%Y-%m-%dT%H:%M:%S.%fZ")


def _timestamp(value: Any, form: str) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(value, "string")
    if "%f" not in form and _WHOLE_SECONDS.fullmatch(value):
        return value
    try:
        timestamp = datetime.fromisoformat(value)
    except ValueError:
        raise WrongType(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}"') from None
    if timestamp.tzinfo is None or "T" not in value:
        raise WrongType(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}"')
    return timestamp.astimezone(UTC).strftime(form)


_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE])([+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def quantity(value: Any) -> Any:
    """An amount of a resource in its canonical form."""
    if value is None:
        return "0"
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    return _canonical(text if isinstance(text, str) else "")


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise WrongType("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, exponent, power, suffix = found.groups()
    try:
        amount = Decimal(number)
    except InvalidOperation:
        raise WrongType(f"unable to parse quantity's value {text!r}") from None
    if exponent:
        return _decimal(amount.scaleb(int(power)), exponent)
    if suffix and suffix.endswith("i"):
        amount *= Decimal(1024) ** _BINARY.index(suffix)
        return _binary(amount) if abs(amount) >= 1024 else _decimal(amount)
    return _decimal(amount.scaleb(_DECIMAL[suffix or ""]))


def _binary(amount: Decimal) -> str:
    whole = int(amount.to_integral_value(ROUND_CEILING))
    place = 0
    while whole % 1024 == 0 and place < len(_BINARY) - 1:
        whole, place = whole // 1024, place + 1
    return f"{whole}{_BINARY[place]}"


def _decimal(amount: Decimal, exponent: str = "") -> str:
    # Amounts of resources in objects are rounded up to thousandths.
    milli = int((amount * 1000).to_integral_value(ROUND_CEILING))
    if milli == 0:
        return "0"
    place = -3
    while milli % 1000 == 0 and place < 18:
        milli, place = milli // 1000, place + 3
    if exponent:
        return f"{milli}{exponent}{place}" if place else str(milli)
    suffix = next(name for name, power in _DECIMAL.items() if power == place)
    return f"{milli}{suffix}"


_READERS: dict[str, Decode] = {
    "string": _string,
    "bytes": _string,
    "bool": _bool,
    "int32": _INT32,
    "int64": _integer(64),
    "float64": _float,
    "intorstring": _int_or_string,
    "quantity": quantity,
    "time": _time,
    "microtime": _micro_time,
    "any": lambda value: value,
}
