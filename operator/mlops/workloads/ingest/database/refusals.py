"""What is said of a database that cannot be read: by reason, with a way out, and never with a secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.database.access import Access
from mlops.workloads.ingest.database.columns import QUERY

_SHOWN: Final = 300
Refusal = BadInput | PassingFault
_CREDENTIALS: Final = "check user and password in the Secret"
_RIGHTS: Final = "grant the user SELECT on what the query reads; it is tried again"
_AGAIN: Final = "it is tried again"


@dataclass(frozen=True)
class Words:
    """Makes the refusals of one source. `hides`: fields are personal, so see `repeated`."""

    access: Access
    hides: bool = False

    def wrong_credentials(self, said: str) -> Refusal:
        return self._of_access(BadInput, Reason.ACCESS_DENIED, said, _CREDENTIALS)

    def unknown_login(self, said: str) -> Refusal:
        """Return the error for a way to log in that the driver does not have."""
        way_out = "let the user log in by the server's usual password; it is tried again"
        return self._of_access(BadInput, Reason.ACCESS_DENIED, said, way_out)

    def no_rights(self, said: str) -> Refusal:
        return self._of_access(BadInput, Reason.ACCESS_DENIED, said, _RIGHTS)

    def no_database(self, said: str) -> Refusal:
        return self._of_access(PassingFault, Reason.SOURCE_NOT_FOUND, said, f"mend the Secret; {_AGAIN}")

    def unavailable(self, said: str) -> Refusal:
        return self._of_access(PassingFault, Reason.SOURCE_UNAVAILABLE, said, _AGAIN)

    def timed_out(self, said: str) -> Refusal:
        way_out = f"{_AGAIN}; raise the time limit of the user's statements, or let the query read less"
        return self._of_access(PassingFault, Reason.SOURCE_UNAVAILABLE, said, way_out)

    def untrusted(self, said: str) -> Refusal:
        way_out = (
            "put the certificate of its authority into the key ca of the Secret; sslmode verify-ca does not compare the"
            f" host's name; {_AGAIN}"
        )
        return self._of_access(PassingFault, Reason.SOURCE_UNAVAILABLE, f"TLS: {said}", way_out)

    def no_tls(self) -> Refusal:
        way_out = f"set it up there, or say sslmode: disable in the Secret if the network is trusted; {_AGAIN}"
        return self._of_access(PassingFault, Reason.SOURCE_UNAVAILABLE, "the server offers no TLS", way_out)

    def no_table(self, said: str) -> Refusal:
        return self._of_query(Reason.SOURCE_NOT_FOUND, said, "correct the query; or make it, and ask for a retry")

    def writes(self, said: str) -> Refusal:
        return self._of_query(Reason.QUERY_INVALID, said, "a query is one SELECT that changes nothing")

    def invalid(self, said: str) -> Refusal:
        return self._of_query(Reason.QUERY_INVALID, said, "correct the query: one SELECT in the database's own SQL")

    def repeated(self, said: str, code: str | int, *, is_of_names: bool) -> str:
        """Return what a server said, or its code alone where that may be personal: any error but one of names and
        syntax may repeat a value, that of a function or trigger anything."""
        if self.hides and not is_of_names:
            return f"error {code}; what it says may hold personal values, and is left out"
        return said

    def bad_value(self, said: str) -> Refusal:
        """Return the error for a value that the query cannot compute with."""
        return self._of_query(Reason.QUERY_INVALID, said, "correct the query, or the rows and ask for a retry")

    def _of_access(self, kind: Callable[[Reason, str], Refusal], reason: Reason, said: str, way_out: str) -> Refusal:
        return kind(reason, f"{self.access.where}: {self._plain(said)}: {way_out}")

    def _of_query(self, reason: Reason, said: str, way_out: str) -> Refusal:
        return BadInput(reason, f"{QUERY}: {self.access.where}: {self._plain(said)}: {way_out}")

    def _plain(self, said: str) -> str:
        line = " ".join(self.access.harmless(said).split())
        return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
