"""Artifacts: content-addressed, verified on every read, in a folder or in any S3 service.

    store = open_store("s3://mlops/team-a", os.environ)
    digest = store.put_directory(Path("trained")).digest
    store.get(digest, into=Path("model"))

The layout (`layout`) is pure, `bucket` is the port, `folder` and `s3` implement it, `artifacts` is what callers use and
`address` turns a URL and the environment into one of them.
"""

from mlops.store.address import open_source, open_store
from mlops.store.artifacts import GRACE, Store
from mlops.store.bucket import Bucket, Stat
from mlops.store.errors import (
    AccessDenied,
    AddressInvalid,
    BucketMissing,
    CertificateUntrusted,
    CredentialsMissing,
    DigestMismatch,
    ManifestInvalid,
    NoSpace,
    NotFound,
    PathForbidden,
    RequestRefused,
    StoreError,
    StoreUnavailable,
    TargetOccupied,
)
from mlops.store.garbage import Garbage, collect, garbage
from mlops.store.layout import Entry, Manifest

__all__ = [
    "GRACE",
    "AccessDenied",
    "AddressInvalid",
    "Bucket",
    "BucketMissing",
    "CertificateUntrusted",
    "CredentialsMissing",
    "DigestMismatch",
    "Entry",
    "Garbage",
    "Manifest",
    "ManifestInvalid",
    "NoSpace",
    "NotFound",
    "PathForbidden",
    "RequestRefused",
    "Stat",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "TargetOccupied",
    "collect",
    "garbage",
    "open_source",
    "open_store",
]
