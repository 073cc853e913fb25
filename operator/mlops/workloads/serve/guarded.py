"""The application of a stage that asks who a request is from. Without `auth` none of this is there."""

from __future__ import annotations

from typing import Any, Final

from mlops.workloads.serve.app import Application
from mlops.workloads.serve.auth import Denial, RequestGuard
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.routes import Route

_CHALLENGE: Final = [(b"www-authenticate", b'Bearer realm="mlops"')]
_UNKNOWN: Final = (
    "this address takes known clients only: send a key or token of yours as Authorization: Bearer, "
    "or a key as X-API-Key"
)
_TOO_OFTEN: Final = (
    "too many wrong keys and tokens came from this address: send a key or token that holds, or try again in {} s"
)
_FORBIDDEN: Final = "whose key or token this is may not use this address; ask whoever runs the stage"


class GuardedApplication(Application):
    """Answers what `guard` lets pass: it is asked when the head is there, before a byte of the body is kept."""

    def __init__(self, *given: Any, guard: RequestGuard, **named: Any) -> None:
        super().__init__(*given, **named)
        self._guard = guard

    def _entered(self, exchange: Exchange) -> Route:
        route = super()._entered(exchange)
        self._check(exchange)
        return route

    def _handle(self, exchange: Exchange) -> None:
        if exchange.route is not None:
            # A head that this connection has sent before, or more of a body: keys may have changed, tokens expired.
            self._check(exchange)
        super()._handle(exchange)

    def admits(self, exchange: Exchange) -> bool:
        """See Application."""
        try:
            self._check(exchange)
        except RequestError as error:
            self._fail(exchange, error)
            return False
        return True

    def _check(self, exchange: Exchange) -> None:
        """Raises RequestError."""
        denial = self._guard.allowed(exchange.route.name, exchange.headers, exchange.client)
        if denial is Denial.NOT_ALLOWED:
            raise RequestError(403, _FORBIDDEN)
        if denial is Denial.TOO_MANY_TRIES:
            seconds = self._guard.wait_seconds(exchange.client)
            # Whoever goes on trying connects again for each try.
            raise RequestError(
                429, _TOO_OFTEN.format(seconds), [(b"retry-after", b"%d" % seconds), *_CHALLENGE], closes=True
            )
        if denial is not None:
            raise RequestError(401, _UNKNOWN, _CHALLENGE)
