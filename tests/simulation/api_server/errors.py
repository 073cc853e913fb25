"""Answers that are no success: Status objects with the API server's own words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]

_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    500: "InternalError",
}
# The kinds of a cause, as the API server's field errors print them.
INVALID, REQUIRED, UNSUPPORTED = "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported"
FORBIDDEN, TOO_LONG, TOO_MANY = "FieldValueForbidden", "FieldValueTooLong", "FieldValueTooMany"
DUPLICATE, WRONG_TYPE = "FieldValueDuplicate", "FieldValueTypeInvalid"


@dataclass(frozen=True)
class Answer:
    """What HTTP would give: the status, the body, and headers."""

    status: int
    body: Manifest
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cause:
    """One field that is wrong; `message` begins with the kind of mistake."""

    field: str
    message: str
    reason: str = INVALID

    def dump(self) -> Manifest:
        """As it stands in a Status."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A request that is refused."""

    def __init__(self, code: int, message: str, *, reason: str | None = None, details: Manifest | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.reason, self.details = _REASONS[code] if reason is None else reason, details

    def answer(self) -> Answer:
        """As it goes over the wire."""
        body: Manifest = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return Answer(self.code, {**body, "code": self.code})


def _details(group: str, kind: str, name: str = "", **more: Any) -> Manifest:
    details = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in details.items() if value}


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(group: str, plural: str, name: str) -> ApiError:
    return ApiError(404, f'{_qualified(plural, group)} "{name}" not found', details=_details(group, plural, name))


def no_such_path() -> ApiError:
    return ApiError(404, "the server could not find the requested resource", details={})


def already_exists(group: str, plural: str, name: str) -> ApiError:
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, message, details=_details(group, plural, name))


def other_object(group: str, kind: str, name: str, wanted: str, found: str) -> ApiError:
    why = (
        f"the UID in the precondition ({wanted}) does not match the UID in record ({found}). "
        "The object might have been deleted and then recreated"
    )
    return conflict(group, kind, name, why)


def other_version(group: str, kind: str, name: str, wanted: str, found: str) -> ApiError:
    why = (
        f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({found}). "
        "The object might have been modified"
    )
    return conflict(group, kind, name, why)


def has_changed(group: str, plural: str, name: str) -> ApiError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, why)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """The causes together, in brackets if there are several."""
    listed = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    text = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details = _details(group, kind, name, causes=[cause.dump() for cause in causes])
    return ApiError(422, f'{_qualified(kind, group)} "{name}" is invalid: {text}', details=details)


def shown(value: Any) -> str:
    """A value as field errors print it."""
    return json.dumps(value, ensure_ascii=False)
