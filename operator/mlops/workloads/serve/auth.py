"""Whether a request may use a group of addresses: by the key or token in its head, in HTTP and, as metadata, in gRPC.

What is told a client never says which part was wrong. Neither keys nor tokens are logged, counted or kept: they are
known by their SHA-256.

A right key is known by one hash and one look, so it is never kept waiting, whoever else is wrong behind the same
address. What is wrong counts, and an address that has been wrong too often is told to wait, in the place of a signature
being verified: a token that is right, but was not verified here before, waits with it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, Protocol

from mlops.api.stage_access import RouteAccess, RouteGroup, StageAuth
from mlops.workloads.serve.client_keys import ClientKeyring
from mlops.workloads.serve.tries import FailedTries

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
    TOO_MANY_TRIES = "too_many_tries"


def group_of(route: str) -> RouteGroup | None:
    """Return the group of a route by its name; None of one that everybody may use."""
    return _GROUPS.get(route, "infer")


class TokenReader(Protocol):
    """What says whose a token is; `tokens.TokenVerifier` is one."""

    def known_subject_of(self, digest: bytes) -> str | None:
        """Return the subject of a token with this SHA-256 that was verified before, and still holds."""
        ...

    def subject_of(self, token: bytes, digest: bytes) -> str | None:
        """Return the subject of a token, whose SHA-256 is `digest`; None if it does not hold."""
        ...


class RequestGuard:
    """Decides by what a stage says, and counts what it denies. For the event loop's thread."""

    def __init__(
        self,
        auth: StageAuth,
        keyring: ClientKeyring | None,
        tokens: TokenReader | None,
        tries: FailedTries | None = None,
    ) -> None:
        self._keyring, self._tokens = keyring, tokens
        self._tries = FailedTries() if tries is None else tries
        self._admitted = {group: _Admitted(access) for group, access in auth.accesses.items()}
        self.denied: Counter[tuple[RouteGroup, Denial]] = Counter()

    def allowed(self, route: str, headers: Iterable[tuple[bytes, bytes]], address: str) -> Denial | None:
        """Return why a request with these headers, whose names are in small letters, may not use `route`; None: it may.

        `route` is the name of a route as metrics have it, `address` that of the client.
        """
        group = group_of(route)
        if group is None or self._admitted[group].everybody:
            return None
        found = self._identity_of(headers, address)
        if not isinstance(found, Denial):
            if self._admitted[group].admits(*found):
                return None
            found = Denial.NOT_ALLOWED
        if found is Denial.NOT_ACCEPTED:
            self._tries.failed(address)
        self.denied[group, found] += 1
        return found

    def wait_seconds(self, address: str) -> int:
        """Return after how many seconds an address that has been wrong too often may try again."""
        return max(1, self._tries.wait_seconds(address))

    def is_open(self, group: RouteGroup) -> bool:
        """Whether everybody may use the group."""
        return self._admitted[group].everybody

    def _identity_of(
        self, headers: Iterable[tuple[bytes, bytes]], address: str
    ) -> tuple[str | None, str | None] | Denial:
        """Return a client or a subject, or what is wrong."""
        given = [(name, value) for name, value in headers if name in (AUTHORIZATION, API_KEY)]
        if len(given) != 1:
            # Of two, nobody knows which one is meant.
            return self._wrong(address) if given else Denial.NOTHING_GIVEN
        name, credential = given[0]
        if name == AUTHORIZATION:
            scheme, _, credential = credential.partition(b" ")
            if scheme.lower() != _BEARER:
                return self._wrong(address)
        credential = credential.strip(b" ")
        digest = hashlib.sha256(credential).digest()
        if self._keyring is not None and (client := self._keyring.client_of(digest)) is not None:
            return client, None
        if self._tokens is not None and name == AUTHORIZATION:
            subject = self._tokens.known_subject_of(digest)
            if subject is None and not self._tries.wait_seconds(address):
                subject = self._tokens.subject_of(credential, digest)
            if subject is not None:
                return None, subject
        return self._wrong(address)

    def _wrong(self, address: str) -> Denial:
        return Denial.TOO_MANY_TRIES if self._tries.wait_seconds(address) else Denial.NOT_ACCEPTED


class _Admitted:
    """Who may use a group."""

    def __init__(self, access: RouteAccess) -> None:
        self.everybody = access.access == "Anonymous"
        self._anyone_known = not (access.clients or access.subjects)
        self._clients, self._subjects = frozenset(access.clients), frozenset(access.subjects)

    def admits(self, client: str | None, subject: str | None) -> bool:
        """Whether a client, or else the subject of a token, is one of them."""
        return self._anyone_known or client in self._clients or subject in self._subjects
