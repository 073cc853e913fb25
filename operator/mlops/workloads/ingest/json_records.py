"""JSON objects as rows of the contract: exact numbers, no key twice, no key that silently became another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

import orjson
import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.json_document import DuplicateKey, distinct
from mlops.workloads.ingest.json_flat import flat_objects, has_no_key_twice
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.typed import (
    bad_value,
    check_columns,
    column_of,
    first_unread,
    normal,
    read_text,
    with_missing,
)
from mlops.workloads.ingest.widening import numbers_of

# What JSON has for each type; text is read as it is in CSV, 0 and 1 are booleans.
_TAKEN: Final[dict[FieldType, set[type]]] = {
    "float64": {float, int},
    "int64": {int},
    "string": {str},
    "boolean": {bool},
    "timestamp": set(),
}
# Python's type of a value that needs neither reading nor judging.
_PLAIN: Final[dict[FieldType, type]] = {"float64": float, "boolean": bool}
_INT64: Final = range(-(1 << 63), 1 << 63)


class _Number(str):
    """A number with a fraction or an exponent, as it is written."""


class _Absent:
    """No value and no key."""


_ABSENT: Final = _Absent()


class JsonRecords:
    """Turns the objects of one file into rows, batch by batch, and remembers which keys there were."""

    def __init__(self, name: str, contract: Contract) -> None:
        self._name, self._contract = name, contract
        self._paths = {field.name: column_of(field) for field in contract.fields}
        self._tops = {path.split(".")[0] for path in self._paths.values()} | set(self._paths.values())
        self._seen: dict[str, None] = {}
        self._present: set[str] = set()
        self._alike: dict[str, str] = {}
        self.rows = 0

    def read(self, texts: list[bytes]) -> pl.DataFrame:
        """Return the rows of further objects. Raises BadInput with row and column."""
        # Faults are found object by object, so that each is told with its row.
        objects = flat_objects(texts) or [self._object(text, self.rows + i + 1) for i, text in enumerate(texts)]
        self._note_keys(objects)
        columns = {field.name: self._column(objects, texts, field) for field in self._contract.fields}
        self.rows += len(objects)
        return pl.DataFrame(columns)

    def finish(self) -> None:
        """Raise BadInput for a field that no object of the file had: its key has another name here, or is left out."""
        present = [*self._seen, *(self._paths[name] for name in self._present if self._paths[name] not in self._seen)]
        check_columns(self._name, present, self._contract.fields, self._contract.pii)
        if extra := [key for key in self._seen if key not in self._tops]:
            say(f"{self._name}: {len(extra)} keys are not in spec.fields and are left out: {shown(', '.join(extra))}")

    def _object(self, text: bytes, row: int) -> dict[str, Any]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise format_error(self._name, f"row {row} is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise format_error(self._name, f"row {row} is no JSON object")
        # Nothing is nested where there is one brace and no bracket; texts that hold some are counted with care.
        flat = text.count(b"{") == 1 and b"[" not in text
        if not has_no_key_twice(text, len(value) if flat else _keys(value)):
            self._exact(text, row)
        return value

    def _exact(self, text: bytes, row: int) -> dict[str, Any]:
        """Parse with care: keys that stand once, numbers as they are written."""
        try:
            found = json.loads(text, object_pairs_hook=distinct, parse_float=_Number)
        except DuplicateKey as error:
            raise format_error(self._name, f'row {row} has the key "{shown(error)}" twice: keep one') from error
        except (ValueError, RecursionError) as error:
            raise format_error(self._name, f"row {row} is no JSON: {error}") from error
        assert isinstance(found, dict)
        return found

    def _note_keys(self, objects: list[dict[str, Any]]) -> None:
        """Remember the keys, and refuse an object that has a field's key in another spelling instead of it."""
        # Objects have the same keys in the same order as a rule.
        for keys in dict.fromkeys(map(tuple, objects)):
            self._seen.update(dict.fromkeys(keys))
        for key in self._seen:
            if key not in self._tops and key not in self._alike:
                self._alike[key] = next((top for top in self._tops if _folded(top) == _folded(key)), "")
        for key, top in self._alike.items():
            at = next((i for i, one in enumerate(objects) if key in one and top not in one), None) if top else None
            if at is not None:
                raise format_error(
                    self._name,
                    f'row {self.rows + at + 1} has the key "{shown(key)}" where others have "{shown(top)}": '
                    "spell it in one way",
                )

    def _column(self, objects: list[dict[str, Any]], texts: list[bytes], field: DataField) -> pl.Series:
        path = self._paths[field.name]
        if "." in path:
            found = [_at(one, path) for one in objects]
        else:
            found = _values_of(path, objects)
        if self._is_plain(found, field):
            self._present.add(field.name)
            return self._native(found, field)
        if field.name not in self._present and any(value is not _ABSENT for value in found):
            self._present.add(field.name)
        values = [None if value is _ABSENT else value for value in found]
        if field.null_values:
            values = _without(values, field.null_values)
        if field.type == "int64":
            values = self._whole(values, texts, field)
        elif field.type == "boolean":
            values = [bool(one) if type(one) is int and one in (0, 1) else one for one in values]
        return self._typed(values, field)

    @staticmethod
    def _is_plain(found: list[Any], field: DataField) -> bool:
        """Return whether each object has a value of the field's type itself, which is the rule."""
        kind = _PLAIN.get(field.type)
        return kind is not None and not field.null_values and set(map(type, found)) == {kind}

    def _whole(self, values: list[Any], texts: list[bytes], field: DataField) -> list[Any]:
        """Return the values with numbers such as 3.0 as integers; by their text, since a float is not exact."""
        path = self._paths[field.name]
        for i, value in enumerate(values):
            if type(value) is float:
                number = Decimal(_at(self._exact(texts[i], self.rows + i + 1), path))
                if abs(number) > _INT64.stop or number != number.to_integral_value():
                    raise self._bad(i, field, number)
                values[i] = int(number)
            if type(values[i]) is int and values[i] not in _INT64:
                raise self._bad(i, field, values[i])
        return values

    def _typed(self, values: list[Any], field: DataField) -> pl.Series:
        kinds = set(map(type, values)) - {type(None)}
        taken = _TAKEN[field.type]
        if not kinds <= taken | {str}:
            at = next(i for i, value in enumerate(values) if value is not None and type(value) not in taken | {str})
            raise self._bad(at, field, values[at])
        if str not in kinds:
            return self._native(values, field)
        # Text in place of a number, a timestamp or a truth value is read as it is in CSV.
        if kinds != {str}:
            values = [None if value is None else _text(value) for value in values]
        text = pl.Series(values, dtype=pl.String)
        text = with_missing(text, field)
        column = read_text(text, field)
        self._contract.note_zone(text, field)
        if (at_text := first_unread(text, column)) is not None:
            raise self._bad(at_text, field, text[at_text])
        return normal(column)

    def _native(self, values: list[Any], field: DataField) -> pl.Series:
        if field.type == "float64":
            if not {float, type(None)}.issuperset(map(type, values)):
                values = [None if value is None else float(value) for value in values]
            column = pl.Series(values, dtype=pl.Float64)
            if not column.is_finite().fill_null(True).all():
                # JSON has no infinity: this was 1e999.
                raise self._bad(int(column.is_infinite().fill_null(False).arg_max() or 0), field, "a number too large")
            return normal(column)
        return normal(pl.Series(values, dtype=DTYPES[field.type]))

    def _bad(self, at: int, field: DataField, value: Any) -> BadInput:
        return bad_value(self._name, self.rows + at + 1, field, value, self._contract.pii)


def _values_of(key: str, objects: list[dict[str, Any]]) -> list[Any]:
    """Return what each object has under a key."""
    try:
        return list(map(itemgetter(key), objects))
    except KeyError:
        return [one.get(key, _ABSENT) for one in objects]


def _without(values: list[Any], nulls: tuple[str, ...]) -> list[Any]:
    """Return the values without the numbers that mean a missing one, exactly; texts are for `with_missing`."""
    numbers = numbers_of(nulls)
    floats = {float(one) for one in numbers}
    return [
        None if (type(one) is int and one in numbers) or (type(one) is float and one in floats) else one
        for one in values
    ]


def keys_of(texts: Iterable[bytes]) -> list[str]:
    """Return the keys of objects; what is none is for the reader to refuse."""
    found: dict[str, None] = {}
    for text in texts:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        found.update(dict.fromkeys(value) if isinstance(value, dict) else {})
    return list(found)


def _keys(value: Any) -> int:
    """Return how many keys there are in an object and in all that it holds."""
    inner = value.values() if isinstance(value, dict) else value
    return (len(value) if isinstance(value, dict) else 0) + sum(
        _keys(one) for one in inner if isinstance(one, dict | list)
    )


def _at(value: Any, path: str) -> Any:
    """Return what lies at a path: the longest key that it begins with, then on in what that holds."""
    if path in value:
        return value[path]
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        key = ".".join(parts[:count])
        if key in value:
            inner = value[key]
            if inner is None:
                return None
            # Of no field's type: it is refused with what stands there.
            return _at(inner, ".".join(parts[count:])) if isinstance(inner, dict) else [inner]
    return _ABSENT


def _folded(key: str) -> str:
    return re.sub(r"[\W_]", "", key).casefold()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value).lower() if isinstance(value, bool) else repr(value)
