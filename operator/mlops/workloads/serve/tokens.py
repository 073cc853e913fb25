"""Bearer tokens (JWT) of one issuer, verified by keys that are mounted. Imported only where a stage asks for it."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jwt
import orjson
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from mlops.api.stage_access import TokenIssuer
from mlops.workloads.floor.log import warn
from mlops.workloads.serve.mounted_files import Files, Unusable

KEY_FILE: Final = "jwks.json"
# By how much clocks may differ, and how many tokens that were verified are remembered.
LEEWAY_SECONDS: Final = 30
_MOST_KNOWN: Final = 1024
_MOST_KEYS: Final = 64
_BITS: Final = range(2048, 8193)
_WRONG = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError, KeyError)
_OPTIONS: Any = {"require": ["exp", "iss", "aud", "sub"]}


class _VerifyingKey(NamedTuple):
    # The only algorithm that it is used with, whatever a token says.
    algorithm: str
    key: Any


class TokenVerifier:
    """Says whose a token is. A token is verified once, and remembered by its hash until it expires."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer
        self._keys: dict[str, _VerifyingKey] = {}
        # By the token's SHA-256: its subject, and the time from which it does not hold any more.
        self._known: dict[bytes, tuple[str, float]] = {}

    def take(self, files: Files) -> None:
        """Take the keys of now in the place of those before, and forget all tokens. Raises Unusable if there is none:
        then no token holds."""
        keys: dict[str, _VerifyingKey] = {}
        try:
            keys = _keys_of(files)
        finally:
            # At once: while they are read, those before count.
            self._keys, self._known = keys, {}

    def known_subject_of(self, digest: bytes) -> str | None:
        """Return the subject of a token with this SHA-256 that was verified before, and still holds."""
        known = self._known.get(digest)
        return known[0] if known is not None and time.time() < known[1] else None

    def subject_of(self, token: bytes, digest: bytes) -> str | None:
        """Return the subject of a token, whose SHA-256 is `digest`; None if it does not hold."""
        if (subject := self.known_subject_of(digest)) is not None:
            return subject
        remembered = self._known
        try:
            claims = self._claims_of(token)
            subject, until = claims["sub"], int(claims["exp"]) + LEEWAY_SECONDS
        except _WRONG:
            return None
        if not isinstance(subject, str) or not subject:
            return None
        if len(remembered) >= _MOST_KNOWN:
            remembered.clear()
        # If the keys were exchanged meanwhile, this is a dictionary that nobody reads any more.
        remembered[digest] = subject, until
        return subject

    def _claims_of(self, token: bytes) -> Mapping[str, Any]:
        head = orjson.loads(_decoded(token.split(b".", 1)[0]))
        # Whatever else a head has is not looked at: no key, no address of one.
        if not isinstance(head, dict) or "crit" in head or "b64" in head:
            raise ValueError
        found = self._keys[head["kid"]]
        if head["alg"] != found.algorithm:
            raise ValueError
        claims: Mapping[str, Any] = jwt.decode(
            token,
            found.key,
            algorithms=[found.algorithm],
            issuer=self._issuer.issuer,
            audience=self._issuer.audience,
            leeway=LEEWAY_SECONDS,
            options=_OPTIONS,
        )
        return claims


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _keys_of(files: Files) -> dict[str, _VerifyingKey]:
    """Return the keys of a JSON Web Key Set by their id. Raises Unusable."""
    if KEY_FILE not in files:
        raise Unusable(f"it must hold {KEY_FILE}, the issuer's JSON Web Key Set")
    try:
        listed = orjson.loads(files[KEY_FILE])["keys"]
        entries = [each for each in listed if isinstance(each, dict)]
    except (ValueError, TypeError, KeyError) as error:
        raise Unusable(f'{KEY_FILE}: is no JSON Web Key Set: write {{"keys": [...]}} as the issuer gives it') from error
    if len(entries) > _MOST_KEYS:
        raise Unusable(f"{KEY_FILE}: has {len(entries)} keys, more than {_MOST_KEYS}")
    found: dict[str, _VerifyingKey] = {}
    for entry in entries:
        kid, key = entry.get("kid"), _key_of(entry)
        if key is None or not isinstance(kid, str):
            continue
        if kid in found:
            raise Unusable(f"{KEY_FILE}: two keys have one kid: give each its own")
        found[kid] = key
    if not found:
        raise Unusable(f"{KEY_FILE}: has no key with a kid for RS256 (RSA of 2048 to 8192 bits) or ES256 (P-256)")
    if len(found) < len(listed):
        warn(f"jwks: {len(listed) - len(found)} of {len(listed)} keys are left out: not for RS256 or ES256, or no kid")
    return found


def _key_of(entry: Mapping[str, Any]) -> _VerifyingKey | None:
    """Return the public key of an entry; None if it is not one for verifying by an algorithm of ours."""
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
            return None
        # Of an entry that holds a private key its public part alone.
        if entry.get("kty") == "RSA" and entry.get("alg", "RS256") == "RS256":
            key: Any = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
            return _VerifyingKey("RS256", key) if key.key_size in _BITS else None
        if entry.get("kty") == "EC" and entry.get("crv") == "P-256" and entry.get("alg", "ES256") == "ES256":
            return _VerifyingKey(
                "ES256", ECAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x", "y")})
            )
    except _WRONG:
        return None
    return None
