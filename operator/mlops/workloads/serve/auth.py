"""Whether a request may use a group of addresses: by the key or token in its head, in HTTP and, as metadata, in gRPC.

What is told a client never says which part was wrong. Neither keys nor tokens are logged, counted or kept: they are
known by their SHA-256.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, Protocol

from mlops.api.stage_access import RouteAccess, RouteGroup, StageAuth
from mlops.workloads.serve.client_keys import ClientKeyring

AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"
_BEARER: Final = b"bearer"
# By what a route is called in metrics; None: open. What is not named is of infer.
_GROUPS: Final[Mapping[str, RouteGroup | None]] = {
    "health": None,
    "metrics": "metrics",
    "feedback": "feedback",
    "flush": "admin",
}


class Denial(Enum):
    """Why a request may not: the values are those of a metric's label."""

    NOTHING_GIVEN = "nothing_given"
    NOT_ACCEPTED = "not_accepted"
    NOT_ALLOWED = "not_allowed"


def group_of(route: str) -> RouteGroup | None:
    """Return the group of a route by its name; None of one that everybody may use."""
    return _GROUPS.get(route, "infer")


class TokenReader(Protocol):
    """What says whose a token is; `tokens.TokenVerifier` is one."""

    def subject_of(self, token: bytes, digest: bytes) -> str | None:
        """Return the subject of a token, whose SHA-256 is `digest`; None if it does not hold."""
        ...


class RequestGuard:
    """Decides by what a stage says, and counts what it denies. For the event loop's thread."""

    def __init__(self, auth: StageAuth, keyring: ClientKeyring | None, tokens: TokenReader | None) -> None:
        self._keyring, self._tokens = keyring, tokens
        self._admitted = {group: _Admitted(access) for group, access in auth.accesses.items()}
        self.denied: Counter[tuple[RouteGroup, Denial]] = Counter()

    def allowed(self, route: str, headers: Iterable[tuple[bytes, bytes]]) -> Denial | None:
        """Return why a request with these headers, whose names are in small letters, may not use `route`; None: it may.

        `route` is the name of a route as metrics have it.
        """
        group = group_of(route)
        if group is None or self._admitted[group].everybody:
            return None
        found = self._identity_of(headers)
        if not isinstance(found, Denial):
            if self._admitted[group].admits(*found):
                return None
            found = Denial.NOT_ALLOWED
        self.denied[group, found] += 1
        return found

    def is_open(self, group: RouteGroup) -> bool:
        """Whether everybody may use the group."""
        return self._admitted[group].everybody

    def _identity_of(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, str | None] | Denial:
        """Return a client or a subject, or what is wrong."""
        given = [(name, value) for name, value in headers if name in (AUTHORIZATION, API_KEY)]
        if len(given) != 1:
            # Of two, nobody knows which one is meant.
            return Denial.NOT_ACCEPTED if given else Denial.NOTHING_GIVEN
        name, credential = given[0]
        if name == AUTHORIZATION:
            scheme, _, credential = credential.partition(b" ")
            if scheme.lower() != _BEARER:
                return Denial.NOT_ACCEPTED
        credential = credential.strip(b" ")
        digest = hashlib.sha256(credential).digest()
        if self._keyring is not None and (client := self._keyring.client_of(digest)) is not None:
            return client, None
        if self._tokens is not None and name == AUTHORIZATION:
            subject = self._tokens.subject_of(credential, digest)
            if subject is not None:
                return None, subject
        return Denial.NOT_ACCEPTED


class _Admitted:
    """Who may use a group."""

    def __init__(self, access: RouteAccess) -> None:
        self.everybody = access.access == "Anonymous"
        self._anyone_known = not (access.clients or access.subjects)
        self._clients, self._subjects = frozenset(access.clients), frozenset(access.subjects)

    def admits(self, client: str | None, subject: str | None) -> bool:
        """Whether a client, or else the subject of a token, is one of them."""
        return self._anyone_known or client in self._clients or subject in self._subjects
