"""Requests that offer HTTP/2 over clear text (h2c), as Java's HttpClient sends all: served as what they are, HTTP/1.1.

A server may ignore Upgrade (RFC 9110, 7.8), but the parser takes what follows such a head for another protocol and
drops the body. It says where the head ends, so the head is parsed again without the offer, and then what follows it.
Where a message ends is decided by the parser alone, from what it has itself understood of the head.
"""

from __future__ import annotations

from collections.abc import Iterable

import httptools

_Headers = Iterable[tuple[bytes, bytes]]


def parser_of(protocol: object) -> httptools.HttpRequestParser:
    """Return a parser that knows of no message before.

    The one that has seen the offer ignores all that follows a head with `Connection: close`, or of HTTP/1.0.
    """
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def offers_h2c_only(headers: _Headers) -> bool:
    """Whether a request that the parser would upgrade offers HTTP/2 and nothing else."""
    offers = [value for name, value in headers if name == b"upgrade"]
    return {offer.strip().lower() for offer in offers} == {b"h2c"}


def head_without_offer(method: bytes, url: bytes, version: str, headers: _Headers) -> bytes:
    """Return the head that was parsed, without Upgrade.

    The parser takes no folded line, no bare CR or LF and no space before a colon, so each field is one line again.
    """
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    lines += [b"%s: %s" % field for field in headers if field[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
