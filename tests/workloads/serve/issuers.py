"""Issuers of tokens and of certificates, as tests need them."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import time
from functools import cached_property
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example.com", "weather"


class Issuer:
    """Signs by a key of RSA (`rsa-1`) and one of P-256 (`ec-1`)."""

    @cached_property
    def rsa(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def ec(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> dict[str, Any]:
        """Its public keys."""
        return {
            "keys": [
                {**RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True), "kid": "rsa-1", "use": "sig"},
                {**ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True), "kid": "ec-1", "alg": "ES256"},
            ]
        }

    def files(self) -> dict[str, bytes]:
        """The Secret with its public keys."""
        return {"jwks.json": json.dumps(self.jwks()).encode()}

    def token(self, kid: str = "rsa-1", head: dict[str, Any] | None = None, **claims: Any) -> bytes:
        """A token that holds, but for the claims (None: left out) and parts of the head that are given."""
        key: Any = self.ec if kid.startswith("ec") else self.rsa
        stated = claims_of(**claims)
        algorithm = "ES256" if kid.startswith("ec") else "RS256"
        return jwt.encode(stated, key, algorithm, headers={"kid": kid, **(head or {})}).encode()


def claims_of(**claims: Any) -> dict[str, Any]:
    """The claims of a token that holds, with changes; None leaves one out."""
    now = int(time.time())
    plain = {"iss": ISSUER, "aud": AUDIENCE, "sub": "service:billing", "exp": now + 600, "nbf": now - 5}
    return {name: value for name, value in {**plain, **claims}.items() if value is not None}


def pem(key: Any) -> bytes:
    """A public key as text."""
    found: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


def certificate_of(name: str, days: int = 10) -> tuple[str, str]:
    """A certificate of 127.0.0.1 that signs itself, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def trusting(*certificates: str) -> ssl.SSLContext:
    """What takes these certificates and no other."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata="\n".join(certificates))
    return context
