"""What an OpenAPI document says of keys and tokens, where a stage asks for them."""

from __future__ import annotations

from typing import Any, Final

from mlops.api.stage_access import StageAuth

_REFUSALS: Final = {
    "401": "no key or token, or one that does not hold",
    "403": "the key or token is of somebody who may not use this address",
    "429": "too many wrong keys and tokens from this address; Retry-After says when to try again",
}


def asked_of_clients(auth: StageAuth | None) -> StageAuth | None:
    """Return `auth` if whoever wants predictions is asked for a key or token; None if everybody may."""
    return None if auth is None or auth.routes.infer.access == "Anonymous" else auth


def with_security(document: dict[str, Any], auth: StageAuth | None) -> dict[str, Any]:
    """Return an OpenAPI document with the schemes of a stage and, of each operation, which it takes.

    Health checks take none: they are open.
    """
    if (asked := asked_of_clients(auth)) is None:
        return document
    schemes = _schemes(asked)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {status: {"description": said, "content": error} for status, said in _REFUSALS.items()}
    added: dict[str, Any] = {"security": [{name: []} for name in schemes]}
    paths = {
        path: methods
        if _is_health(path)
        else {method: _guarded(each, added, refusals) for method, each in methods.items()}
        for path, methods in document["paths"].items()
    }
    return document | {"paths": paths, "components": document["components"] | {"securitySchemes": schemes}}


def _guarded(operation: dict[str, Any], added: dict[str, Any], refusals: dict[str, Any]) -> dict[str, Any]:
    responses = dict(sorted((operation["responses"] | refusals).items()))
    return operation | added | {"responses": responses}


def _is_health(path: str) -> bool:
    return path.startswith("/v2/health/") or path.endswith("/ready")


def _schemes(auth: StageAuth) -> dict[str, dict[str, str]]:
    what = " or ".join(
        [*(["a key of a client"] if auth.api_keys else []), *(["a token (JWT) of the issuer"] if auth.jwt else [])]
    )
    schemes = {"bearer": {"type": "http", "scheme": "bearer", "description": f"{what[0].upper()}{what[1:]}."}}
    if auth.api_keys is None:
        schemes["bearer"]["bearerFormat"] = "JWT"
    else:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of a client."}
    return schemes
