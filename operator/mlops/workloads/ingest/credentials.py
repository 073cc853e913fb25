"""A source's own credentials, from the Secret that it names. The pod has its keys in the environment, under a prefix.

A source uses the store's settings or its Secret's, whole: a service that is named by one party never sees a request
that is signed with the keys of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops.api.dataset import HttpSource, S3Source
from mlops.api.pod_environment import S3Settings
from mlops.api.reasons import Reason
from mlops.api.task_variables import BUCKETS_VARIABLE, S3_SECRET_VARIABLE, SOURCE_PREFIX
from mlops.store.settings import NAMES
from mlops.workloads.floor.pod import BadInput, PassingFault

if TYPE_CHECKING:
    from mlops.api.label_sources import HttpLabels, S3Labels

AUTHORIZATION = "AUTHORIZATION"
LOCAL_WAY_OUT = (
    "without a cluster a Secret stands in a manifest beside the Dataset, or its keys in variables "
    "MLOPS_SECRET_<NAME>_<KEY>"
)
# Nothing else of the Secret counts: no file of the pod may be named, neither a CA's nor a folder of buckets.
_S3_KEYS = tuple(name for name in NAMES if name != S3Settings.name_of("ca_file"))


def s3_environ(source: S3Source | S3Labels, namespace: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment to open `source` with: the pod's own, or nothing but what its Secret holds.

    On one machine without S3, buckets are folders and no Secret is needed.
    """
    if source.secret_ref is None or BUCKETS_VARIABLE in environ:
        return environ
    given = {name: environ[SOURCE_PREFIX + name] for name in _S3_KEYS if SOURCE_PREFIX + name in environ}
    return given | {S3_SECRET_VARIABLE: f"{namespace}/{source.secret_ref.name}"}


def authorization(source: HttpSource | HttpLabels, namespace: str, environ: Mapping[str, str]) -> str | None:
    """Return the Authorization header to send for `source`, or None if it names no Secret. Raises PassingFault."""
    if source.secret_ref is None:
        return None
    where = f'{AUTHORIZATION}: Secret "{source.secret_ref.name}" in namespace "{namespace}"'
    value = environ.get(SOURCE_PREFIX + AUTHORIZATION, "").strip()
    if not value and BUCKETS_VARIABLE in environ:
        raise BadInput(Reason.CREDENTIALS_MISSING, f"{where} is not known here: {LOCAL_WAY_OUT}")
    if not value:
        problem = "must hold the header's value, such as Bearer and a token: make or mend it, it is tried again"
        raise PassingFault(Reason.CREDENTIALS_MISSING, f"{where} {problem}")
    if not (value.isascii() and value.isprintable()):
        problem = "holds what no header may: a line break, or a character beyond ASCII: mend it, it is tried again"
        raise PassingFault(Reason.CREDENTIALS_MISSING, f"{where} {problem}")
    return value
