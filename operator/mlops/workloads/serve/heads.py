"""What is read from the head of a request, and the answers that are written without an application."""

from __future__ import annotations

import urllib.parse
from typing import Final

import httptools
import orjson

from mlops.workloads.serve.request_ids import HEADER

RETRY: Final = b"retry-after: 1\r\n"
VERSIONS: Final = ("1.0", "1.1")
_PHRASES: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def path_of(url: bytes) -> str:
    """Return the path of a request's target. Raises what makes the parser refuse the request.

    An encoded slash stays what it is: a proxy that lets some paths pass only takes it for no slash.
    """
    path: str = httptools.parse_url(url).path.decode("ascii")
    if "%" not in path:
        return path
    return "%2F".join(urllib.parse.unquote(part) for part in path.replace("%2f", "%2F").split("%2F"))


def refusal(status: int, message: str, request_id: bytes, more: bytes) -> bytes:
    """Return a whole answer, after which the connection closes; `more` are lines of its head."""
    body = orjson.dumps({"error": message})
    return (
        b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n%s: %s\r\n"
        % (status, _PHRASES[status], len(body), HEADER, request_id)
        + more
        + b"\r\n"
        + body
    )
