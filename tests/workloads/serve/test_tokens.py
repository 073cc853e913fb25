"""Bearer tokens: what an issuer signed holds, and nothing that looks like it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from mlops.api.secret_ref import SecretRef
from mlops.api.stage_access import TokenIssuer
from mlops.workloads.serve.mounted_files import Unusable
from mlops.workloads.serve.tokens import LEEWAY_SECONDS, TokenVerifier
from tests.workloads.serve.issuers import AUDIENCE, ISSUER, Issuer, claims_of, pem

HONEST = Issuer()


def a_verifier(files: dict[str, bytes] | None = None) -> TokenVerifier:
    wanted = TokenIssuer(jwks_secret_ref=SecretRef(name="issuer-keys"), issuer=ISSUER, audience=AUDIENCE)
    verifier = TokenVerifier(wanted)
    verifier.take(HONEST.files() if files is None else files)
    return verifier


def subject(verifier: TokenVerifier, token: bytes) -> str | None:
    return verifier.subject_of(token, hashlib.sha256(token).digest())


def _part(document: Any) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _unsigned(head: Any, claims: Any = None, signature: bytes = b"") -> bytes:
    return b".".join((_part(head), _part(claims_of() if claims is None else claims), _part(signature)))


def _hmac(head: dict[str, Any], key: bytes) -> bytes:
    signed = b".".join((_part(head), _part(claims_of())))
    return signed + b"." + _part(hmac.digest(key, signed, "sha256"))


def _of_a_stranger(**head: Any) -> bytes:
    """Signed well, by a key that the issuer does not have, which the head brings along."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = {"jwk": RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), **head}
    return jwt.encode(claims_of(), key, "RS256", headers={"kid": "rsa-1", **brought}).encode()


def _tampered() -> bytes:
    head, _, signature = HONEST.token().split(b".")
    return b".".join((head, _part(claims_of(sub="service:operations")), signature))


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1"])
def test_a_token_of_the_issuer_holds_and_says_whose_it_is(kid: str) -> None:
    """RS256 and ES256, with one audience or several, a second time from memory."""
    verifier = a_verifier()
    assert subject(verifier, HONEST.token(kid)) == "service:billing"
    several = HONEST.token(kid, aud=["other", AUDIENCE], nbf=None)
    assert [subject(verifier, several) for _ in range(2)] == ["service:billing"] * 2


WRONG: dict[str, Callable[[], bytes]] = {
    "alg none": lambda: _unsigned({"alg": "none", "kid": "rsa-1"}),
    "alg None in other letters": lambda: _unsigned({"alg": "nOnE", "kid": "rsa-1"}),
    "alg none and the signature of another": lambda: _unsigned({"alg": "none"}, signature=b"x" * 256),
    "the public key taken for a shared one": lambda: _hmac(
        {"alg": "HS256", "kid": "rsa-1"}, pem(HONEST.rsa.public_key())
    ),
    "HMAC called RS256": lambda: _hmac({"alg": "RS256", "kid": "rsa-1"}, pem(HONEST.rsa.public_key())),
    "another algorithm of the same key": lambda: jwt.encode(
        claims_of(), HONEST.rsa, "RS512", headers={"kid": "rsa-1"}
    ).encode(),
    "the key of the other algorithm": lambda: jwt.encode(
        claims_of(), HONEST.rsa, "RS256", headers={"kid": "ec-1"}
    ).encode(),
    "a kid that is unknown": lambda: HONEST.token("rsa-2"),
    "no kid": lambda: jwt.encode(claims_of(), HONEST.rsa, "RS256").encode(),
    "a kid that is no text": lambda: _unsigned({"alg": "RS256", "kid": ["rsa-1"]}, signature=b"x" * 256),
    "a key that the token brings": _of_a_stranger,
    "an address of keys": lambda: _of_a_stranger(jku="https://attacker.example.com/jwks.json"),
    "other claims under a signature": _tampered,
    "a signature cut off": lambda: HONEST.token().rpartition(b".")[0] + b".",
    "two parts": lambda: HONEST.token().rpartition(b".")[0],
    "five parts, as an encrypted one": lambda: HONEST.token() + b".x.y",
    "a signature of zeros": lambda: _unsigned({"alg": "ES256", "kid": "ec-1"}, signature=bytes(64)),
    "an extension that must be understood": lambda: HONEST.token(head={"crit": ["exp"]}),
    "expired": lambda: HONEST.token(exp=int(time.time()) - LEEWAY_SECONDS - 1),
    "not yet": lambda: HONEST.token(nbf=int(time.time()) + LEEWAY_SECONDS + 60),
    "without an end": lambda: HONEST.token(exp=None),
    "an end that is no number": lambda: HONEST.token(exp="soon"),
    "an end beyond all numbers": lambda: HONEST.token(exp=float("inf")),
    "another audience": lambda: HONEST.token(aud="billing"),
    "other audiences": lambda: HONEST.token(aud=["billing", "weather2"]),
    "no audience": lambda: HONEST.token(aud=None),
    "another issuer": lambda: HONEST.token(iss=ISSUER + "/"),
    "no issuer": lambda: HONEST.token(iss=None),
    "no subject": lambda: HONEST.token(sub=None),
    "an empty subject": lambda: HONEST.token(sub=""),
    "nothing": lambda: b"",
    "no token": lambda: b"not.a.token",
    "letters of no alphabet": lambda: b"\xff\xfe.\x00.\x80",
    "a head of a thousand lists": lambda: _unsigned(b"[" * 3000),
    "a head that is a list": lambda: _unsigned([]),
    "claims of a thousand lists": lambda: _unsigned({"alg": "RS256", "kid": "rsa-1"}, b"[" * 3000, b"x" * 256),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_issuer_did_not_sign_for_now_and_here_does_not_hold(case: str) -> None:
    """Of whatever part is wrong nothing is said, and nothing is raised."""
    assert subject(a_verifier(), WRONG[case]()) is None


def test_a_token_that_was_verified_ends_with_its_time_and_with_its_key() -> None:
    """What is remembered of it does not outlive either."""
    verifier, brief = a_verifier(), HONEST.token(exp=int(time.time()) - LEEWAY_SECONDS + 2)
    assert subject(verifier, brief) == "service:billing"
    time.sleep(2.1)
    assert subject(verifier, brief) is None
    token = HONEST.token()
    assert subject(verifier, token) == "service:billing"
    verifier.take(Issuer().files())
    assert subject(verifier, token) is None
    verifier.take(HONEST.files())
    assert subject(verifier, token) == "service:billing"


def test_what_is_remembered_is_bounded() -> None:
    """However many tokens an issuer gives."""
    verifier = a_verifier()
    for number in range(1100):
        assert verifier.subject_of(HONEST.token("ec-1"), number.to_bytes(32, "big")) == "service:billing"
    assert len(verifier._known) <= 1024


def _set(*keys: Any) -> dict[str, bytes]:
    return {"jwks.json": json.dumps({"keys": keys}).encode()}


def _weak() -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "weak"}


RSA, EC = HONEST.jwks()["keys"]
UNUSABLE: dict[str, tuple[dict[str, bytes], str]] = {
    "no file": ({}, "it must hold jwks.json"),
    "no JSON": ({"jwks.json": b"{"}, "is no JSON Web Key Set"),
    "another document": ({"jwks.json": b"[]"}, "is no JSON Web Key Set"),
    "no key": (_set(), "has no key with a kid"),
    "shared keys only": (
        _set({"kty": "oct", "k": "c2VjcmV0", "kid": "rsa-1", "alg": "HS256"}),
        "has no key with a kid",
    ),
    "a key without a name": (_set({name: RSA[name] for name in ("kty", "n", "e")}), "has no key with a kid"),
    "a weak key": (_set(_weak()), "2048 to 8192 bits"),
    "a key for encrypting": (_set({**RSA, "use": "enc"}), "has no key with a kid"),
    "operations that are no list": (_set({**RSA, "key_ops": 1}), "has no key with a kid"),
    "another algorithm": (_set({**RSA, "alg": "PS256"}), "has no key with a kid"),
    "another curve": (_set({**EC, "crv": "P-384"}), "has no key with a kid"),
    "a point off the curve": (_set({**EC, "x": EC["y"]}), "has no key with a kid"),
    "two keys of one name": (_set(RSA, {**EC, "kid": RSA["kid"]}), "two keys have one kid"),
    "too many": (_set(*[{**RSA, "kid": str(number)} for number in range(65)]), "has 65 keys"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_key_set_that_is_of_no_use_is_told_and_then_no_token_holds(case: str) -> None:
    """Also not those that the keys before had signed: who takes a key away means it."""
    files, says = UNUSABLE[case]
    verifier = a_verifier()
    token = HONEST.token()
    assert subject(verifier, token) == "service:billing"
    with pytest.raises(Unusable, match=says):
        verifier.take(files)
    assert subject(verifier, token) is None


def test_keys_of_other_kinds_beside_are_left_out() -> None:
    """An issuer's set has more than this server verifies by; a private key in it is read as a public one."""
    private = RSAAlgorithm.to_jwk(HONEST.rsa, as_dict=True) | {"key_ops": ["sign", "verify"]}
    beside = {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}
    verifier = a_verifier(_set({**private, "kid": "rsa-1"}, beside, EC))
    assert subject(verifier, HONEST.token()) == "service:billing"
    assert subject(verifier, _hmac({"alg": "HS256", "kid": "shared"}, b"secret")) is None


def test_a_key_of_another_curve_signs_nothing() -> None:
    """ES256 is P-256."""
    stranger = ec.generate_private_key(ec.SECP384R1())
    token = jwt.encode(claims_of(), stranger, "ES384", headers={"kid": "ec-1"}).encode()
    assert subject(a_verifier(), token) is None
