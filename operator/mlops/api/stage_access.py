"""Who may ask the servers of a stage, and the certificate that they show."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from mlops.api.base import Model, Rule, text
from mlops.api.secret_ref import SecretRef

# The groups of a server's addresses, as `spec` names them. Health has none: probes carry no key.
RouteGroup = Literal["infer", "feedback", "admin", "metrics"]
ROUTE_GROUPS: Final[tuple[RouteGroup, ...]] = ("infer", "feedback", "admin", "metrics")

ClientName = Annotated[
    str,
    text(
        r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$",
        "a client is named by a key of the Secret, which has letters, digits, -, _ and ., the first no .",
        253,
    ),
]
# Of a token: an issuer, an audience, a subject.
ClaimText = Annotated[str, text(r"^[!-~]+$", "a claim's text has printable ASCII without spaces", 512)]


class ClientKeys(Model):
    """API keys: each key of the Secret is a client's name, its value a key of that client or the SHA-256 of one."""

    secret_ref: SecretRef = Field(description="The Secret; it is mounted as files, and read again when it changes.")


class TokenIssuer(Model):
    """Bearer tokens (JWT, RS256 or ES256) of one issuer, verified by keys that are mounted: nothing is fetched."""

    jwks_secret_ref: SecretRef = Field(
        description="The Secret whose key jwks.json holds the issuer's public keys as a JSON Web Key Set (RFC 7517)."
    )
    issuer: ClaimText = Field(description="The claim iss that a token must have.")
    audience: ClaimText = Field(description="The claim aud that a token must have, or have among others.")


class RouteAccess(Model):
    """Who may use a group of addresses. Neither clients nor subjects: every identity that the stage knows."""

    access: Literal["Authenticated", "Anonymous"] = Field(
        default="Authenticated", description="Anonymous: nothing is asked for."
    )
    clients: Annotated[tuple[ClientName, ...], Field(max_length=32)] = Field(
        default=(), description="Clients of apiKeys that may."
    )
    subjects: Annotated[tuple[ClaimText, ...], Field(max_length=32)] = Field(
        default=(), description="Subjects (claim sub) of tokens that may."
    )
    rules: ClassVar = (
        Rule(
            "!has(self.access) || self.access != 'Anonymous' || ((!has(self.clients) || size(self.clients) == 0)"
            " && (!has(self.subjects) || size(self.subjects) == 0))",
            "access Anonymous lets everybody in: leave clients and subjects out, or access",
            lambda self: self.access != "Anonymous" or not (self.clients or self.subjects),
        ),
    )


class RouteGroups(Model):
    """Who may use which addresses of a server. Health checks are open: a kubelet's probes carry no key."""

    infer: RouteAccess = Field(
        default_factory=RouteAccess, description="Answers, metadata, the page, and what no other group has."
    )
    feedback: RouteAccess = Field(default_factory=RouteAccess, description="Labels.")
    admin: RouteAccess = Field(default_factory=RouteAccess, description="/-/flush.")
    metrics: RouteAccess = Field(default_factory=RouteAccess, description="/metrics.")


def _named(listed: str) -> str:
    lists = [(f"self.routes.{group}", f"self.routes.{group}.{listed}") for group in ROUTE_GROUPS]
    none = " && ".join(f"(!has({group}) || !has({names}) || size({names}) == 0)" for group, names in lists)
    return f"!has(self.routes) || ({none})"


class StageAuth(Model):
    """What the servers of a stage ask of a request."""

    api_keys: ClientKeys | None = Field(default=None, description="Keys of clients.")
    jwt: TokenIssuer | None = Field(default=None, description="Tokens of an issuer.")
    routes: RouteGroups = Field(default_factory=RouteGroups, description="Who may use which addresses.")
    rules: ClassVar = (
        Rule(
            "has(self.apiKeys) || has(self.jwt)",
            "auth needs apiKeys, jwt or both: say what a request is known by, or leave auth out",
            lambda self: self.api_keys is not None or self.jwt is not None,
        ),
        Rule(
            f"has(self.apiKeys) || ({_named('clients')})",
            "routes name clients, which are names of apiKeys: set apiKeys, or name subjects",
            lambda self: self.api_keys is not None or not any(each.clients for each in self.accesses.values()),
        ),
        Rule(
            f"has(self.jwt) || ({_named('subjects')})",
            "routes name subjects, which are those of tokens: set jwt, or name clients",
            lambda self: self.jwt is not None or not any(each.subjects for each in self.accesses.values()),
        ),
    )

    @property
    def accesses(self) -> dict[RouteGroup, RouteAccess]:
        """Return who may use each group."""
        routes = self.routes
        return {
            "infer": routes.infer,
            "feedback": routes.feedback,
            "admin": routes.admin,
            "metrics": routes.metrics,
        }


class StageTls(Model):
    """TLS 1.2 or newer at the server's ports, in the place of plain HTTP and gRPC."""

    secret_ref: SecretRef = Field(
        description="A Secret of type kubernetes.io/tls: tls.crt and tls.key, read again when they change."
    )
