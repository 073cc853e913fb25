"""What can go wrong with a store, each with an address, a value and the way out.

`reason` is what a Report and a condition say of it; `retryable` tells exit code 1 (try again) from 2.
"""

from __future__ import annotations

from typing import ClassVar

from mlops.api.reasons import Reason


class StoreError(Exception):
    """`where` is the key, URI, digest or environment variable; `problem` what was found; `way_out` what to do."""

    # The word for conditions, Events and Reports.
    reason: ClassVar[Reason]
    retryable: ClassVar[bool] = False

    def __init__(self, where: str, problem: str, way_out: str = "") -> None:
        super().__init__(f"{where}: {problem}" + (f"; {way_out}" if way_out else ""))
        self.where = where
        self.problem = problem
        self.way_out = way_out


class StoreUnavailable(StoreError):
    """The store does not answer, or answers that it cannot now: time may mend it."""

    reason = Reason.STORE_UNAVAILABLE
    retryable = True


class AccessDenied(StoreError):
    """The credentials are wrong, expired, or not allowed to do this. Says nothing about what exists."""

    reason = Reason.ACCESS_DENIED


class NotFound(StoreError):
    """There is no such artifact or object."""

    reason = Reason.NOT_FOUND


class BucketMissing(StoreError):
    """There is no such bucket, or no folder where the store should be: a volume that is not mounted, an address that
    was mistyped. Says nothing about what the store holds when it is there."""

    reason = Reason.BUCKET_MISSING
    retryable = True


class NoSpace(StoreError):
    """The disk is full or the quota is used up."""

    reason = Reason.NO_SPACE


class DigestMismatch(StoreError):
    """The bytes are not those that the digest names."""

    reason = Reason.DIGEST_MISMATCH

    def __init__(self, where: str, expected: str, got: str) -> None:
        way_out = "the stored bytes were changed or cut: restore them, or produce the artifact again"
        super().__init__(where, f"expected {expected}, got {got}", way_out)
        self.expected = expected
        self.got = got


class ManifestInvalid(StoreError):
    """The object under an artifact's digest is no manifest."""

    reason = Reason.MANIFEST_INVALID


class PathForbidden(StoreError):
    """A path or key that could name something outside its place."""

    reason = Reason.PATH_FORBIDDEN


class AddressInvalid(StoreError):
    """A store URL, endpoint, bucket name or digest that cannot be used as written."""

    reason = Reason.ADDRESS_INVALID


class CredentialsMissing(StoreError):
    """The environment does not hold what S3 needs. It heals when the Secret appears, which the next pod then sees."""

    reason = Reason.CREDENTIALS_MISSING
    retryable = True


class CertificateUntrusted(StoreError):
    """The server's TLS certificate does not lead to a known authority."""

    reason = Reason.CERTIFICATE_UNTRUSTED


class TargetOccupied(StoreError):
    """The folder to write to holds something else already."""

    reason = Reason.TARGET_OCCUPIED


class RequestRefused(StoreError):
    """The service understood and refused for a reason of its own, which `problem` repeats."""

    reason = Reason.REQUEST_REFUSED
