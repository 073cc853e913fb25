"""What the head of a request says of its body, and bodies that come compressed."""

from __future__ import annotations

from typing import Final

from mlops.workloads.serve.decompress import CODINGS, decompressed
from mlops.workloads.serve.errors import RequestError, busy, shown
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.routes import Post, Route

_KINDS: Final = (b"application/json", b"application/octet-stream")


def with_body(name: str, post: Post, limit: int) -> Route:
    """Return a route whose body may be compressed, and has at most `limit` bytes when it is not."""

    def decoding(coding: bytes) -> Post:
        def decode(exchange: Exchange) -> None:
            body = decompressed(coding, exchange.body, limit, exchange.hold.take)
            if body is None:
                raise busy()
            exchange.hold.give(len(exchange.body))
            exchange.body = body
            post(exchange)

        return decode

    return Route(name, post=post, coded={name_: Route(name, post=decoding(means)) for name_, means in CODINGS.items()})


def stated_length(exchange: Exchange) -> int:
    """Return the body's stated length (0: none), and note the length of its JSON part. Raises RequestError.

    Without a Content-Type the body is taken for what is asked for. Of a compressed one the route becomes another.
    """
    length = 0
    for name, value in exchange.headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"content-type":
            if value not in _KINDS and value.partition(b";")[0].strip().lower() not in _KINDS:
                raise RequestError(415, f"Content-Type is {shown(value.decode('latin-1'))}; send application/json")
        elif name == b"content-encoding":
            _find_coding(exchange, value)
        elif name == b"inference-header-content-length":
            if not value.isdigit() or len(value) > 12:
                raise RequestError(400, "Inference-Header-Content-Length is no whole number of bytes")
            exchange.header_length = int(value)
    return length


def _find_coding(exchange: Exchange, value: bytes) -> None:
    """Have the route of a body in this coding answer. Raises RequestError."""
    coding = value.strip().lower()
    if coding in (b"", b"identity"):
        return
    coded = exchange.route.coded.get(coding)
    if coded is None:
        raise RequestError(
            415,
            f"Content-Encoding is {shown(value.decode('latin-1'))}; send gzip, deflate, or the body uncompressed",
            [(b"accept-encoding", b"gzip, deflate")],
        )
    exchange.route = coded
