"""An address and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from mlops.workloads.serve.exchange import JSON, Exchange, Fields


@dataclass(frozen=True)
class HttpAnswer:
    """A response; `more` are lines of its head."""

    status: int
    body: bytes
    kind: bytes = JSON
    more: bytes = b""


Post = Callable[[Exchange], None]


@dataclass(frozen=True)
class Route:
    """A name for the metrics, and what answers GET and POST."""

    name: str
    get: Callable[[], HttpAnswer] | None = None
    # It answers, or sees to it that somebody does.
    post: Post | None = None
    # Answers GET by what the request's head says.
    page: Callable[[Fields], HttpAnswer] | None = None
    # By coding: the same route for a body in it.
    coded: dict[bytes, Route] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        """Return the value of the header Allow."""
        return ", ".join((["GET", "HEAD"] if self.get or self.page else []) + (["POST"] if self.post else []))


NO_ROUTE: Final = Route("other")


def json_answer(status: int, document: Any) -> HttpAnswer:
    """Return an answer with a JSON body."""
    return HttpAnswer(status, orjson.dumps(document))
