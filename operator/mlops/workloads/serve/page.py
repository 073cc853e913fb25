"""The page of a model that a person can read: one HTML document, without a script and without anything from outside."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from html import escape
from typing import Final

import orjson

from mlops.api.stage_access import StageAuth
from mlops.workloads.serve.exchange import Fields
from mlops.workloads.serve.model_description import MOST_LISTED, ModelDescription
from mlops.workloads.serve.tensors import Column

CONTENT_TYPE: Final = b"text/html; charset=utf-8"
# Nothing is loaded and nothing is run, whatever stands in the page; and no other site may frame it. It names the host
# by which it was asked for, so nobody keeps it for others.
HEADERS: Final = (
    b"content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
)
_HOST: Final = re.compile(rb"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;"
    "border-bottom:1px solid #d0d7de}pre{background:#f6f8fa;padding:1rem;overflow-x:auto;white-space:pre-wrap;"
    "word-break:break-word}code{font-family:ui-monospace,monospace}"
)


def address_of(headers: Fields, *, over_tls: bool = False) -> str | None:
    """Return the address at which whoever sent these headers finds the server; None if they do not say.

    `over_tls`: they came to this server so, and not to a proxy before it only.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return None
    is_secure = over_tls or any(
        name == b"x-forwarded-proto" and value.strip().lower() == b"https" for name, value in headers
    )
    return f"{'https' if is_secure else 'http'}://{hosts[0].decode()}"


def page(described: ModelDescription, address: str | None, asked: StageAuth | None = None) -> bytes:
    """Return the document; `address` is where it was asked for, `asked` what clients are asked for to be answered."""
    interface = described.interface
    title = f"{interface.model_name}, version {interface.version}"
    model = f"/v2/models/{interface.model_name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p><a href="/openapi.json">OpenAPI</a> · <a href="{escape(model)}">metadata</a> · '
        f'<a href="{escape(model)}/stats">statistics</a> · <a href="/metrics">metrics</a></p>',
        "<h2>Ask</h2>",
        *([] if asked is None else [f"<p>{_credentials(asked)}</p>"]),
        *_ask(described, address, asked is not None),
        "<h2>Inputs</h2>",
        _table(
            ("name", "type", "may be missing", "known values"), [_input(one, described) for one in interface.inputs]
        ),
        *[f"<p>Each row must meet the condition <code>{escape(one)}</code>.</p>" for one in described.conditions],
        f"<p>At most {described.max_rows} rows a request.</p>",
        "<h2>Answer</h2>",
        f"<p>{_answer(described)}</p>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
        f"{''.join(parts)}</body></html>"
    ).encode()


def curl(described: ModelDescription, address: str, *, asks_for_key: bool = False) -> str | None:
    """Return a line for a shell that asks about the example; None where there is none. The shell knows the key."""
    if described.example is None:
        return None
    body = orjson.dumps({"rows": [described.example]}).decode()
    url = f"{address}/v2/models/{described.interface.model_name}/predict"
    key = ' -H "Authorization: Bearer $MLOPS_SERVER_TOKEN"' if asks_for_key else ""
    return f"curl -s {shlex.quote(url)}{key} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _credentials(asked: StageAuth) -> str:
    bearer = "<code>Authorization: Bearer &hellip;</code>"
    ways = [f"a key as {bearer} or as <code>X-API-Key: &hellip;</code>"] if asked.api_keys else []
    ways += [f"a token (JWT) as {bearer}"] if asked.jwt else []
    return f"Answers are for known clients: send {', or '.join(ways)}; over gRPC the same as metadata."


def _ask(described: ModelDescription, address: str | None, asks_for_key: bool) -> list[str]:
    line = curl(described, address or "http://127.0.0.1:8080", asks_for_key=asks_for_key)
    if line is None:
        return ["<p>No example is known that the model answers; the table says what a row holds.</p>"]
    where = "" if address else "<p>Put the server's address in the place of 127.0.0.1:8080.</p>"
    key = "<p>The shell has the key in <code>MLOPS_SERVER_TOKEN</code>.</p>" if asks_for_key else ""
    return [f"<pre><code>{escape(line)}</code></pre>", where, key]


def _input(column: Column, described: ModelDescription) -> tuple[str, str, str, str]:
    known = described.known.get(column.name, ())
    return (
        f"<code>{escape(column.name)}</code>",
        column.type,
        "yes" if column.name in described.optional else "no",
        ", ".join(escape(one) for one in known),
    )


def _answer(described: ModelDescription) -> str:
    classes = described.interface.classes
    if not classes:
        return "<code>prediction</code>: a number."
    listed = ", ".join(f"<code>{escape(str(one))}</code>" for one in classes[:MOST_LISTED])
    more = f" and {len(classes) - MOST_LISTED} more" if len(classes) > MOST_LISTED else ""
    given = ", and <code>probabilities</code> by class" if len(described.interface.outputs) > 1 else ""
    return f"<code>prediction</code>: one of {listed}{more}{given}."


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{one}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
